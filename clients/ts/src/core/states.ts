/** Which frames a side may send in which state of its direction (3.4). An absent key is the violation. */

export type State = "idle" | "open" | "ended" | "closed";
export type Table = Record<State, Record<string, State>>;

export const CALLER: Table = {
  idle: { OPEN: "open", "OPEN+LAST": "ended" },
  open: {
    ITEMS: "open",
    "ITEMS+LAST": "ended",
    END: "ended",
    "END+reason": "closed",
    CREDIT: "open",
    CANCEL: "closed",
  },
  ended: { CREDIT: "ended", "END+reason": "closed", CANCEL: "closed" },
  closed: {},
};

export const CALLEE: Table = {
  idle: { ACCEPT: "open", "ITEMS+LAST": "closed", STATUS: "closed" },
  open: {
    ITEMS: "open",
    "ITEMS+LAST": "closed",
    STATUS: "closed",
    END: "ended",
    CREDIT: "open",
    CANCEL: "open",
  },
  ended: { STATUS: "closed", CREDIT: "ended", CANCEL: "ended" },
  closed: {},
};
