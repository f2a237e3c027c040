/** The warning about timers that can't move. `ActorCell` gives it. */

/** Classes of which this thread has warned. */
const warned = new WeakSet<object>();

/**
 * Warns that timers of an actor which call a function have ended because its connection moved: once for each class in
 * each thread (`SwitchboardWarning`, code `timersEnded`).
 */
export function warnOfEndedTimers(actorClass: { readonly name: string }): void {
  if (warned.has(actorClass)) return;
  warned.add(actorClass);
  const name = actorClass.name === "" ? "an actor class" : actorClass.name;
  process.emitWarning(`${name}: a connection has moved, and timers of its actor that call a function have ended`, {
    type: "SwitchboardWarning",
    code: "timersEnded",
    detail: 'Timers by the name of a method move along: this.after(ms, "method", argument).',
  });
}
