import { Actor, type Message } from "../../../src/index.ts";

interface Session {
  /** One 32-bit integer, shared with the test: 0 while threads that hold must wait. */
  readonly gate: SharedArrayBuffer;
}

/** Does to its whole shard what a command says, and echoes everything else. */
export default class Faulty extends Actor<Session> {
  override received(message: Message): void {
    switch (message.text) {
      case "where":
        this.send(`shard ${this.shard}`);
        return;
      case "hold":
        Atomics.wait(new Int32Array(this.session.gate), 0, 0);
        this.send("held");
        return;
      case "exit":
        process.exit();
        break;
      case "throw later":
        setImmediate(() => {
          throw new Error("thrown outside any handler");
        });
        return;
      case "reject later":
        void Promise.reject(new Error("rejected outside any handler"));
        return;
      default:
        this.send(message);
    }
  }
}
