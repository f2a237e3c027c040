import { Actor } from "../../../src/index.ts";

/** What a function should be. */
export const authorize = { user: "everybody" };

export default class InvalidAuthorize extends Actor {}
