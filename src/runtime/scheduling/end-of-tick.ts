/**
 * Work for the end of the current turn of the event loop. The bus posts what a tick gathered for other threads with it.
 */
export class EndOfTick {
  #tasks: (() => void)[] = [];

  /**
   * Calls the task once, after the I/O of this turn, in the order of the calls. Nothing else runs between the tasks of
   * one turn.
   */
  add(task: () => void): void {
    if (this.#tasks.length === 0) setImmediate(this.#run);
    this.#tasks.push(task);
  }

  readonly #run = (): void => {
    const tasks = this.#tasks;
    this.#tasks = [];
    for (const task of tasks) task();
  };
}
