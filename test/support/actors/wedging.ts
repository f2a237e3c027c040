/** Echoes, and blocks its thread in a call that nothing can end when told to. */
import { spawnSync } from "node:child_process";
import { Actor, type Message } from "../../../src/index.ts";

export default class Wedging extends Actor {
  override received(message: Message): void {
    if (message.text === "wedge") spawnSync("sleep", ["4"]);
    this.send(message);
  }
}
