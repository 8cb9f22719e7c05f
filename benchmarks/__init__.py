"""How fast Penstock is, beside its peers on the same machine in the same minute. This package never imports Penstock itself.

`python -m benchmarks` starts every side in processes of its own (`sides/`), takes turns between them (`_rounds.py`), judges
what they measured against the targets of the design (`figures/`) and writes it down (`report/`).
"""
