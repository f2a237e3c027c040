/** Requests whose body comes while another process takes over. */
import type { IncomingMessage, ServerResponse } from "node:http";
import { EventEmitter } from "eventemitter3";
import { expect, it, vi } from "vitest";
import type { Switchboard } from "../../../../src/board/switchboard/switchboard.ts";
import { Successor } from "../../../../src/server/serve/http/successor.ts";

it("waits with a request whose body has come while clients are stopped, and answers here if the takeover fails", () => {
  const board = new EventEmitter();
  const successor = new Successor(board as unknown as Switchboard);
  const here = vi.fn();
  const taken = (): boolean => successor.taken({} as IncomingMessage, {} as ServerResponse, Buffer.from("{}"), here);
  expect(taken()).toBe(false);
  board.emit("handingOver");
  expect(taken()).toBe(true);
  expect(here).not.toHaveBeenCalled();
  board.emit("successorFailed");
  expect(here).toHaveBeenCalledTimes(1);
  expect(taken()).toBe(false);
});
