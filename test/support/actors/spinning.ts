import { Actor, type Message } from "../../../src/index.ts";

let handled = 0;
let atLastTurn = 0;
let mostInATurn = 0;

/** Checks once per turn of the event loop how many messages were handled in that turn. */
function watchTurns(): void {
  mostInATurn = Math.max(mostInATurn, handled - atLastTurn);
  atLastTurn = handled;
  setImmediate(watchTurns).unref();
}
watchTurns();

/**
 * Works some microseconds on every message, without a pause. On "probe", answers with the number of messages that its
 * shard has handled so far.
 */
export default class Spinning extends Actor {
  override received(message: Message): void {
    if (message.byteLength > 1) {
      this.send(JSON.stringify({ handled, mostInATurn }));
      return;
    }
    for (const end = performance.now() + 0.01; performance.now() < end; );
    handled++;
  }
}
