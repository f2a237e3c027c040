import { Actor, type Message } from "../../../src/index.ts";

interface Session {
  /**
   * 32-bit integers, shared with the test. The first is 0 while threads that hold must wait. The second, if there is
   * one, counts these threads.
   */
  readonly gate: SharedArrayBuffer;
}

/** Executes commands that harm its whole shard, and echoes everything else. */
export default class Faulty extends Actor<Session> {
  override received(message: Message): void {
    switch (message.text) {
      case "where":
        this.send(`shard ${this.shard}`);
        return;
      case "hold":
        if (this.session.gate.byteLength > 4) Atomics.add(new Int32Array(this.session.gate), 1, 1);
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
      case "spin":
        for (;;);
      case "spin in promises":
        void forEver();
        return;
      case "wait for ever":
        Atomics.wait(new Int32Array(new SharedArrayBuffer(4)), 0, 0);
        return;
      case "fill the heap":
        fillTheHeap();
        return;
      case "overflow the stack":
        overflow();
        return;
      case "overflow the stack later":
        setImmediate(overflow);
        return;
      case "throw nothing later":
        setImmediate(() => {
          throw null;
        });
        return;
      default:
        this.send(message);
    }
  }
}

/** Endless microtasks: the shard never returns to its event loop. */
async function forEver(): Promise<never> {
  for (;;) await undefined;
}

function fillTheHeap(): never {
  for (const all: unknown[] = []; ; ) all.push({ one: all.length, text: `number ${all.length}` });
}

/** Overflows the stack deep in native code, which calls back. */
function overflow(): void {
  const endless: object = new Proxy({}, { get: (_target, name, receiver) => Reflect.get(endless, name, receiver) });
  JSON.stringify(endless);
}
