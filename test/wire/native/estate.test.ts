/** The list of what a thread owns past Node. */
import { closeSync, fstatSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { describe, expect, it, onTestFinished } from "vitest";
import { createEstateMemory, Estate, sealEstate, settleEstate } from "../../../src/wire/native/estate.ts";
import { missingUring } from "./availability.ts";

const THREAD = 7;
const settle = (memory: SharedArrayBuffer): number => settleEstate(memory, () => false);

function openFile(): number {
  const descriptor = openSync(devNull, "r");
  onTestFinished(() => closeSync(descriptor));
  return descriptor;
}

function isOpen(descriptor: number): boolean {
  try {
    return fstatSync(descriptor).isCharacterDevice();
  } catch {
    return false;
  }
}

describe.skipIf(missingUring !== undefined)("an estate", () => {
  it("closes what its thread has left, once", () => {
    const memory = createEstateMemory();
    const copy = new Estate(memory, THREAD).duplicate(openFile());
    expect([settle(memory), isOpen(copy), settle(memory)]).toEqual([1, false, 0]);
  });

  it("gives a descriptor to another estate, which closes it", () => {
    const [memory, other] = [createEstateMemory(), createEstateMemory()];
    const estate = new Estate(memory, THREAD);
    const copy = estate.duplicate(openFile());
    expect(estate.give(copy, other)).toBe(true);
    expect([settle(memory), isOpen(copy)]).toEqual([0, true]);
    expect([settle(other), isOpen(copy)]).toEqual([1, false]);
  });

  it("keeps a descriptor that is for a thread that has ended", () => {
    const [memory, ended] = [createEstateMemory(), createEstateMemory()];
    new Estate(ended, THREAD + 1);
    expect(sealEstate(ended)).toBe(THREAD + 1);
    const estate = new Estate(memory, THREAD);
    const copy = estate.duplicate(openFile());
    expect(estate.give(copy, ended)).toBe(false);
    expect([settle(ended), isOpen(copy)]).toEqual([0, true]);
    expect([settle(memory), isOpen(copy)]).toEqual([1, false]);
  });

  it("takes no thread that begins after its end", () => {
    const memory = createEstateMemory();
    sealEstate(memory);
    expect(() => new Estate(memory, THREAD)).toThrow(expect.objectContaining({ code: "ERR_CLOSED" }));
  });

  it("opens no descriptor that it can't list", () => {
    const memory = createEstateMemory(32);
    const estate = new Estate(memory, THREAD);
    const files = Array.from({ length: 32 }, openFile);
    const last = files.at(-1) as number;
    const next = openSync(devNull, "r");
    closeSync(next);
    expect(() => estate.duplicate(last)).toThrow(expect.objectContaining({ code: "ERR_SYSTEM_CALL" }));
    // The descriptor that the call opened is free again.
    const again = openFile();
    expect(again).toBe(next);
    const accepted = openSync(devNull, "r");
    expect(estate.ownAccepted(accepted)).toBe(-24);
    expect(isOpen(accepted)).toBe(false);
    expect(settle(memory)).toBe(0);
  });
});
