/** A broken rule of PROTOCOL.md. It ends the connection (10.6). */
export class Violation extends Error {
  override readonly name = "Violation";
  readonly rule: string;

  constructor(rule: string, text: string) {
    super(`PROTOCOL.md rule ${rule}: ${text}`.slice(0, 160));
    this.rule = rule;
  }
}
