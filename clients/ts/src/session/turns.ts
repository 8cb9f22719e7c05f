/**
 * When a session writes: at once when it has been quiet, and then once in each turn of the event loop. So a single call
 * waits for nothing, and what a loop of the program says in one turn leaves in one piece.
 */

type Task = () => void;

/** Run a task in the next turn of the event loop. A timer would wait for up to four milliseconds in a browser. */
export const nextTurn: (task: Task) => void =
  typeof setImmediate === "function" ? (task) => void setImmediate(task) : viaMessageChannel();

function viaMessageChannel(): (task: Task) => void {
  const { port1, port2 } = new MessageChannel();
  const tasks: Task[] = [];
  port1.onmessage = () => tasks.shift()?.();
  return (task) => {
    tasks.push(task);
    port2.postMessage(null);
  };
}

export class Turns {
  readonly #task: Task;
  #isAsked = false;
  #hasRun = false;

  constructor(task: Task) {
    this.#task = task;
  }

  /** Run the task soon: once for all that ask before. */
  ask(): void {
    if (this.#isAsked) return;
    this.#isAsked = true;
    if (!this.#hasRun) queueMicrotask(this.#run);
  }

  readonly #run = (): void => {
    this.#isAsked = false;
    this.#hasRun = true;
    this.#task();
    nextTurn(this.#turned);
  };

  readonly #turned = (): void => {
    this.#hasRun = false;
    if (this.#isAsked) this.#run();
  };
}
