import { Actor } from "../../../src/index.ts";

/** Ends its thread when it is asked a question. */
export default class Ending extends Actor {}

export function surveyed(): void {
  process.exit(1);
}
