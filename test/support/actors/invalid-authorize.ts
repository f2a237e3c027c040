import { Actor } from "../../../src/index.ts";

/** A value where a function is expected. */
export const authorize = { user: "everybody" };

export default class InvalidAuthorize extends Actor {}
