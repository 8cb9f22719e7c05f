"""Every fault to survive and every bad input to refuse, with the tests that show it, or the reason why there is none.

A test is named as ``file::function``, below `tests/`. ``bad input: …`` and ``violation: …`` are the names of entries in
`tests/protocol/bad_inputs.py` and `tests/attack/violations.py`, which a test of their own tries each.
"""

from __future__ import annotations

from typing import Final, NamedTuple

SOAK: Final = "soak/test_soak.py::test_the_fixed_programs_meet_what_they_must"


class Line(NamedTuple):
    """One line of a list. sockets: tests on real sockets, where the list asks for them. why_not: what is not shown, and why."""

    what: str
    tests: tuple[str, ...]
    sockets: tuple[str, ...] = ()
    why_not: str = ""


FAULTS: Final = (
    Line(
        "1 a cut at every frame boundary and at every byte of a session",
        (
            SOAK,
            "laws/test_cuts.py::test_a_program_meets_the_same_over_a_connection_that_is_cut_again_and_again",
            "protocol/test_resume.py::test_items_of_both_directions_survive_cuts_at_any_byte",
            "sim/test_cuts.py::test_a_cut_at_any_byte_is_connection_lost_after_a_true_beginning",
        ),
        (
            "interop/test_faults.py::test_a_session_whose_links_are_cut_at_any_byte_says_everything_once",
            "interop/test_cut_links.py::test_every_stream_is_whole_through_a_proxy_that_cuts_again_and_again",
        ),
    ),
    Line(
        "2 a cut before the first item",
        (
            SOAK,
            "sim/test_cuts.py::test_a_connection_cut_before_the_first_item_is_lost",
            "peer/test_reconnect.py::test_a_session_whose_first_word_was_lost_with_its_link_goes_on",
        ),
        ("interop/test_faults.py::test_a_call_that_is_cut_before_its_first_item_goes_on",),
    ),
    Line(
        "3 a cut between an item and its credit; the credit is lost",
        (SOAK, "soak/test_oracle.py::test_credit_that_is_not_given_is_found_as_a_flow_that_hangs"),
    ),
    Line(
        "4 a cut during a resume, repeated cuts, two resumes with one token",
        (
            SOAK,
            "session/test_lasting.py::test_of_two_that_take_a_session_up_at_once_the_older_link_is_closed",
            "peer/test_reconnect.py::test_a_session_that_began_over_its_second_link_goes_on_when_that_answer_is_lost_too",
        ),
        (
            "interop/test_faults.py::test_links_that_are_cut_during_each_resume_end_nothing",
            "interop/test_faults.py::test_a_second_resume_with_one_token_fences_the_first_and_the_client_goes_on",
        ),
    ),
    Line(
        "5 a half-open peer is found dead within two keep-alives",
        (
            SOAK,
            "sim/test_cuts.py::test_a_half_open_connection_is_found_dead_within_two_keep_alives_by_both_sides",
            "session/test_session.py::test_a_half_open_peer_is_found_dead_within_two_keep_alives",
        ),
        ("interop/test_faults.py::test_half_open_links_are_found_dead_by_their_keep_alive_and_the_session_goes_on",),
    ),
    Line(
        "6 the server restarts: the resume is refused honestly; a durable source goes on exactly",
        (SOAK, "peer/test_reconnect.py::test_a_server_that_has_restarted_refuses_and_the_next_calls_reach_it"),
        (
            "interop/test_faults.py::test_a_server_that_has_restarted_says_that_it_has_no_such_session_and_is_called_next",
            "history/test_kill.py::test_after_a_kill_the_history_verifies_and_a_source_goes_on_where_its_consumer_was",
        ),
    ),
    Line(
        "7 detached for longer than the time to live: lost, the producer cancelled, the memory free",
        (SOAK, "peer/test_reconnect.py::test_after_the_time_to_live_a_stream_is_lost_with_its_offset_and_its_handler_ends"),
    ),
    Line(
        "8 a producer far faster than its consumer; one that stops for ever; one that reads an item a second",
        (
            SOAK,
            "sim/test_slow_consumer.py::test_a_consumer_that_takes_one_item_a_second_gets_every_item_and_the_producer_waits_for_it",
            "sim/test_slow_consumer.py::test_a_consumer_that_stops_for_ever_stops_the_producer_at_the_bound",
        ),
        (
            "interop/test_faults.py::test_a_consumer_that_reads_nothing_holds_its_producer_and_nobody_else_up",
            "interop/test_must_show.py::test_a_stalled_and_a_saturating_stream_change_nobody_elses_outcome",
        ),
    ),
    Line(
        "9 a cancel at every await, at both ends at once, crossing the end",
        (
            SOAK,
            "sim/test_every_moment.py::test_a_cancel_at_every_moment_frees_both_sides",
            "sim/test_every_moment.py::test_a_cancel_in_every_turn_of_the_loop_frees_both_sides",
            "sim/test_every_moment.py::test_both_ends_giving_up_at_once_and_crossing_the_end_is_one_clean_end",
        ),
    ),
    Line(
        "10 an exception in a producer, consumer, codec, interceptor, observer",
        (
            SOAK,
            "laws/test_every_end.py::test_the_caller_is_told_how_its_stream_of_requests_ended",
            "laws/test_converters.py::test_a_converter_that_raises_ends_one_call",
            "calls/test_interceptors.py::test_an_interceptor_that_raises_anything_ends_its_own_call_only",
        ),
        why_not="An observer (`Tap`) is a part of this library; `observe.py` says that it never raises.",
    ),
    Line(
        "11 a deadline at every stage; a clock that jumps an hour",
        (
            SOAK,
            "sim/test_every_moment.py::test_a_deadline_at_every_stage_is_kept_to_the_moment",
            "sim/test_every_moment.py::test_a_deadline_holds_wherever_the_call_is_stuck",
            "sim/test_every_moment.py::test_a_clock_that_jumps_an_hour_ends_what_was_due_and_nothing_else",
        ),
        why_not="No jump backwards: only the loop's monotonic clock is read, and that of a wall is for people.",
    ),
    Line(
        "12 the event loop of the other side stands still for five seconds",
        (
            SOAK,
            "sim/test_weather.py::test_a_side_that_stands_still_for_five_seconds_is_waited_for",
            "peer/test_reconnect.py::test_an_answer_that_comes_in_the_turn_of_its_time_out_counts",
        ),
    ),
    Line(
        "13 loss, reordering, 200 ± 100 ms of delay, 1 Mbit/s",
        (
            SOAK,
            "sim/test_weather.py::test_every_item_arrives_once_in_order_and_whole",
            "testing/test_network.py::test_a_packet_that_is_lost_below_is_sent_again_and_holds_up_those_behind_it",
        ),
        why_not="Not with netem: its queue is not in the kernels of our machines. QUIC is not built.",
    ),
    Line(
        "14 10,000 streams in churn; stream ids wrap",
        (
            SOAK,
            "sim/test_weather.py::test_thousands_of_streams_in_churn_leave_nothing",
            "bad input: the id 2^53+1",
        ),
        ("interop/test_faults.py::test_ten_thousand_streams_in_churn_leave_nothing",),
        why_not="Ids do not wrap: at a million calls a second they last 285 years (ARCHITECTURE, decisions).",
    ),
    Line(
        "15 a graceful drain with 1,000 live streams: all told, nothing lost",
        (SOAK, "sim/test_every_moment.py::test_a_drain_at_every_moment_lets_a_call_finish_or_refuses_it_before_it_began"),
        ("interop/test_faults.py::test_a_drain_with_a_thousand_live_streams_tells_all_and_loses_nothing",),
    ),
    Line(
        "16 kill -9 of either process in the middle of a stream",
        (SOAK,),
        (
            "interop/test_kill.py::test_killing_the_server_is_connection_lost_within_a_second_and_never_an_end",
            "interop/test_kill.py::test_killing_the_client_runs_the_finally_of_the_handler_within_a_second",
        ),
    ),
    Line(
        "17 the disk is full, the history has a torn tail; a flipped bit is detected",
        (
            "history/test_recorder.py::test_a_full_disk_is_told_and_recording_goes_on_when_there_is_room",
            "history/test_verify.py::test_a_file_that_is_cut_off_is_torn",
            "history/test_verify.py::test_one_flipped_bit_in_any_column_of_a_block_is_found",
            "attack/test_machine.py::test_a_log_with_a_flipped_bit_is_told",
        ),
    ),
    Line(
        "18 no file descriptor is left; accepting goes on afterwards",
        (
            "transports/test_tcp.py::test_accept_goes_on_after_file_descriptors_ran_out",
            "attack/test_rows.py::test_a_server_without_descriptors_says_it_once_a_second_and_goes_on",
        ),
    ),
    Line(
        "19 a certificate expires, a token expires in the middle of a stream",
        ("session/test_lasting.py::test_a_token_that_has_expired_is_refused",),
        (
            "transports/test_tls.py::test_an_expired_certificate_is_refused",
            "peer/test_admission.py::test_the_end_of_the_credentials_ends_the_connection_and_the_client_learns_which",
            "peer/test_admission.py::test_a_stream_goes_on_while_its_client_shows_newer_tokens",
        ),
        why_not="A certificate without `auth.Certificates` is looked at in a handshake: a stream goes on, and the next link is "
        "refused.",
    ),
    Line(
        "20 1,000 clients come back at once: jitter, and the server answers throughout",
        (
            SOAK,
            "sim/test_returning.py::test_a_thousand_clients_that_are_cut_at_once_come_back_spread_out_and_the_server_answers_throughout",
        ),
    ),
    Line(
        "21 an older client and a newer server, and the reverse",
        (
            SOAK,
            "protocol/test_handshake.py::test_a_longer_hello_of_a_later_version_is_understood",
            "bad input: unknown type that may be ignored",
            "bad input: unknown type",
            "bad input: a reserved flag",
        ),
    ),
    Line(
        "22 an actor crashes, restarts, has a full mailbox while it streams",
        (
            SOAK,
            "actors/test_reactive.py::test_an_actor_that_stops_or_restarts_is_never_an_end",
            "laws/test_cuts.py::test_a_program_meets_the_same_over_a_connection_that_is_cut_again_and_again",
        ),
    ),
    Line(
        "23 an offered SourceRef that is not claimed is reclaimed",
        (
            SOAK,
            "refs/test_offers.py::test_each_is_reclaimed_at_its_own_time",
            "refs/test_forgotten.py::test_a_ref_that_nobody_can_report_is_reclaimed_in_the_end",
        ),
    ),
    Line(
        "24 SIGTERM in the middle of a stream: a drain, and exit code 0 within the grace time",
        (),
        (
            "cli/node/test_server.py::test_a_stream_may_end_within_the_grace_time",
            "cli/node/test_server.py::test_after_the_grace_time_streams_are_cut_and_told",
        ),
    ),
)

BAD_INPUTS: Final = (
    Line("truncated lengths", ("bad input: a body that ends early", "bad input: ITEMS of 11 bytes")),
    Line("oversized lengths", ("bad input: a frame of one byte over the limit", "violation: a frame over the limit")),
    Line("a length of 0", ("bad input: an empty body", "bad input: zeros")),
    Line(
        "a length of 2^32−1",
        ("bad input: length 2^32-1", "protocol/test_decoder.py::test_a_long_length_alone_takes_no_memory"),
    ),
    Line(
        "a length followed by silence",
        (
            "laws/test_storms.py::test_a_length_followed_by_silence_is_asked_and_given_up",
            "protocol/test_keepalive.py::test_a_peer_without_hello_is_lost_after_the_handshake_time",
        ),
    ),
    Line("an unknown type", ("bad input: unknown type", "violation: unknown type")),
    Line("reserved flags", ("bad input: a reserved flag", "violation: a reserved flag")),
    Line("stream id 0", ("bad input: OPEN on stream 0", "bad input: ITEMS on stream 0")),
    Line("an id of the wrong parity", ("bad input: an even id from a client", "bad input: an odd id from a server")),
    Line("an id that is used again", ("bad input: an id again", "bad input: an id of a stream that is over")),
    Line("an id in the far future", ("bad input: the id 2^53+1", "bad input: the id 2^64-1")),
    Line("items beyond credit", ("bad input: an item more than granted", "bad input: 2^32-1 items")),
    Line("credit that shrinks", ("bad input: credit that shrinks",)),
    Line("credit that overflows", ("bad input: credit of 2^53", "bad input: credit of 2^53-1")),
    Line("a storm of credit", ("laws/test_storms.py::test_credit_again_and_again_changes_nothing",)),
    Line("data after the end", ("bad input: ITEMS after END",)),
    Line("a double end", ("bad input: END twice", "bad input: END twice from a callee")),
    Line("a cancel of the unknown", ("bad input: CANCEL of a stream that never was",)),
    Line("endless fragments", ("bad input: endless fragments",)),
    Line("fragments and then a cancel", ("laws/test_storms.py::test_fragments_and_then_cancel_leave_nothing_behind",)),
    Line(
        "a storm of opens and resets",
        ("laws/test_storms.py::test_opening_and_cancelling_without_reading_breaks_rule_10_5",),
    ),
    Line(
        "floods of pings and settings",
        (
            "laws/test_storms.py::test_pings_whose_answers_are_not_read_break_rule_10_5",
            "laws/test_storms.py::test_pings_whose_answers_are_read_cost_nothing",
            "bad input: a second HELLO",
        ),
    ),
    Line("a trickle through a window of 1", ("laws/test_storms.py::test_a_window_of_one_trickles_without_end",)),
    Line("a guessed token", ("session/test_lasting.py::test_a_token_that_was_guessed_is_refused_and_touches_nothing",)),
    Line(
        "a token that is used again",
        (
            "session/test_lasting.py::test_a_token_that_was_used_is_refused",
            "session/test_lasting.py::test_a_token_of_which_nothing_was_heard_is_taken_by_nobody_who_knows_a_position",
        ),
    ),
    Line(
        "the token of another tenant",
        (
            "session/test_lasting.py::test_the_token_of_another_principal_is_refused",
            "peer/test_admission.py::test_a_session_is_not_taken_up_by_another_principal",
        ),
    ),
    Line(
        "positions beyond what was sent, or below what was consumed",
        (
            "session/test_lasting.py::test_a_position_that_was_never_sent_is_refused",
            "protocol/test_resume.py::test_a_position_that_is_not_kept_any_more_is_refused",
            "protocol/test_resume.py::test_an_acknowledgement_beyond_what_was_sent_breaks_a_rule",
        ),
    ),
    Line(
        "a decompression bomb, nested",
        (
            "laws/test_storms.py::test_a_bomb_is_not_unpacked",
            "protocol/test_compression.py::test_a_bomb_in_a_bomb_is_only_bytes",
        ),
    ),
    Line("unfinished compressed data", ("protocol/test_compression.py::test_unfinished_data_break_rule_11_3",)),
    Line("a wrong codec id", ("bad input: an unknown codec",)),
    Line("invalid UTF-8", ("bad input: invalid UTF-8", "violation: invalid UTF-8")),
    Line("NaN", ("bad input: NaN for a number", "violation: NaN for a number")),
    Line("huge integers", ("bad input: the number 2^53", "violation: the number 2^64-1")),
    Line(
        "nesting 10,000 deep",
        ("bad input: 10,000 arrays in one another", "laws/test_storms.py::test_details_10_000_deep_break_rule_1_7"),
    ),
    Line(
        "duplicate keys",
        (
            "reliability/test_bad_inputs.py::test_of_a_key_that_is_there_twice_the_last_one_counts_in_both_codecs",
            "codec/test_keys.py::test_a_large_map_with_arrays_as_keys_is_refused_where_a_peer_fills_an_any",
        ),
    ),
    Line("type confusion", ("bad input: a string for a number", "violation: a target that is a number")),
    Line("pickle markers", ("bad input: a pickle", "violation: a pickle")),
    Line("a wrong schema", ("reliability/test_bad_inputs.py::test_an_argument_of_another_schema_is_refused_by_its_path",)),
    Line("1 MB of metadata", ("calls/test_context.py::test_metadata_over_the_limit_are_refused_and_harm_nobody",)),
    Line("CR, LF and non-ASCII in metadata", ("calls/test_context.py::test_metadata_travel_as_they_are",)),
    Line("WebSocket: unmasked and fragmented frames, RSV bits, Origin, subprotocol", (), why_not="WebSocket is not built."),
    Line(
        "HTTP on the TCP port, and the reverse",
        (
            "violation: HTTP/1.1",
            "violation: HTTP/2",
            "attack/test_clients.py::test_whatever_answers_the_client_gets_a_typed_error_and_keeps_nothing",
        ),
    ),
    Line(
        "TLS to a plain port, and the reverse",
        (
            "violation: TLS ClientHello",
            "transports/test_tls.py::test_tls_to_a_server_that_answers_in_plain_says_so",
            "transports/test_tls.py::test_plain_to_a_tls_server_is_told_dropped_and_makes_no_receiver",
        ),
    ),
    Line(
        "path traversal and control characters in the names of actors",
        (
            "actors/test_registry.py::test_names_that_are_not",
            "reliability/test_bad_inputs.py::test_a_name_that_leads_elsewhere_is_no_actor_and_is_told_in_one_line",
        ),
    ),
    Line(
        "path traversal and control characters in manifests",
        (
            "reliability/test_bad_inputs.py::test_a_manifest_whose_name_leads_elsewhere_is_refused",
            "node/test_manifest.py::test_a_file_that_is_no_manifest_is_told",
        ),
    ),
    Line(
        "path traversal and control characters in URLs",
        (
            "transports/test_url.py::test_a_path_that_names_no_file_is_refused",
            "transports/test_url.py::test_the_offending_url_is_quoted_so_that_it_cannot_write_to_a_terminal_or_log",
            "transports/test_url.py::test_any_text_is_read_or_refused_in_words",
        ),
    ),
    Line(
        "log injection in the text of an error",
        (
            "test_texts.py::test_the_error_of_a_peer_is_one_line",
            "cli/test_run.py::test_text_of_a_peer_neither_breaks_the_line_nor_steers_the_terminal",
            "cli/node/test_server.py::test_what_an_actor_raises_cannot_pass_for_a_line_of_the_log",
            "reliability/test_bad_inputs.py::test_the_log_of_a_server_has_one_line_for_each_bad_peer",
        ),
    ),
    Line(
        "10,000 connects that never say HELLO",
        ("laws/test_storms.py::test_connections_that_never_say_hello_cost_little_and_end",),
        why_not="500 here; `make attack` dials thousands.",
    ),
    Line(
        "CLI: an unreadable manifest",
        (
            "cli/node/test_actors.py::test_a_manifest_that_cannot_be_read_is_told",
            "cli/node/test_actors.py::test_a_manifest_that_is_not_there_is_told_with_what_is",
        ),
    ),
    Line("CLI: an unknown key", ("node/test_manifest.py::test_a_mistake_names_file_key_and_reason",)),
    Line(
        "CLI: an id that does not exist",
        (
            "cli/node/test_history.py::test_an_actor_that_never_was_is_told",
            "node/test_lookup.py::test_what_is_not_there_is_told_with_what_may_be_meant",
        ),
    ),
    Line(
        "CLI: the server is not running",
        (
            "cli/node/test_actors.py::test_without_a_node_a_verb_says_how_to_start_one",
            "cli/node/test_actors.py::test_a_socket_that_a_dead_node_left_is_no_server",
        ),
    ),
    Line(
        "CLI: a broken pipe on stdout",
        (
            "cli/test_call.py::test_a_closed_pipe_ends_the_call_quietly",
            "cli/test_describe.py::test_a_pipe_that_is_closed_is_no_error_of_ours",
            "cli/node/test_messages.py::test_a_stream_ends_quietly_when_nobody_reads",
        ),
    ),
    Line(
        "CLI: Ctrl-C at every prompt",
        (
            "cli/node/test_prompt.py::test_ctrl_c_forgets_the_line_and_on_an_empty_one_says_how_to_leave",
            "cli/test_call.py::test_ctrl_c_while_the_input_says_nothing",
            "cli/test_commands.py::test_ctrl_c_while_the_command_is_being_imported_prints_no_traceback",
        ),
    ),
)
