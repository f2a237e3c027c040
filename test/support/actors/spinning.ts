import { Actor, type Message } from "../../../src/index.ts";

let handled = 0;
let atLastTurn = 0;
let mostInATurn = 0;

/** Looks once per turn of the shard's loop at how many messages were handled in it. */
function watchTurns(): void {
  mostInATurn = Math.max(mostInATurn, handled - atLastTurn);
  atLastTurn = handled;
  setImmediate(watchTurns).unref();
}
watchTurns();

/** Works some microseconds on every message, without a pause. Told to "probe", it says what all of its shard have handled so far. */
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
