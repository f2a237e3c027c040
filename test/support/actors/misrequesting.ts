import { Actor } from "../../../src/index.ts";

export default class Misrequesting extends Actor {
  static override readonly requestHeaders = ["user agent"];
}
