/** An actor module that asks for request headers that can't exist. The board must refuse it. */
import { Actor } from "../../../src/index.ts";

export default class Misrequesting extends Actor {
  static override readonly requestHeaders = ["user agent"];
}
