/** The list of what a thread owns past Node. */
import { spawnSync } from "node:child_process";
import { closeSync, fstatSync, openSync } from "node:fs";
import { devNull } from "node:os";
import { describe, expect, it, onTestFinished } from "vitest";
import { Estate } from "../../../src/wire/native/estate/estate.ts";
import { createEstateMemory } from "../../../src/wire/native/estate/estate-memory.ts";
import {
  claimDescriptor,
  entrustDescriptor,
  sealEstate,
  settleEstate,
} from "../../../src/wire/native/estate/settlement.ts";
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
    estate.hand[0] = 0;
    expect([settle(memory), isOpen(copy)]).toEqual([0, true]);
    expect([settle(other), isOpen(copy)]).toEqual([1, false]);
  });

  it("closes a descriptor that it has in hand, and that the other thread wasn't told of", () => {
    const [memory, other] = [createEstateMemory(), createEstateMemory()];
    const estate = new Estate(memory, THREAD);
    const copy = estate.duplicate(openFile());
    expect(estate.give(copy, other)).toBe(true);
    expect([settle(memory), isOpen(copy)]).toEqual([1, false]);
    expect(settle(other)).toBe(0);
  });

  it("leaves a descriptor in hand alone that the settlement of the other one has closed", () => {
    const [memory, other] = [createEstateMemory(), createEstateMemory()];
    const estate = new Estate(memory, THREAD);
    const copy = estate.duplicate(openFile());
    estate.give(copy, other);
    expect(settle(other)).toBe(1);
    // The number is somebody else's by now.
    expect(openFile()).toBe(copy);
    expect([settle(memory), isOpen(copy)]).toEqual([0, true]);
  });

  it("lets one of two have a descriptor: the main thread that claims it, or the settlement", () => {
    const memory = createEstateMemory();
    const estate = new Estate(memory, THREAD);
    const [early, late] = [estate.duplicate(openFile()), estate.duplicate(openFile())];
    expect([claimDescriptor(memory, early), settle(memory), claimDescriptor(memory, late)]).toEqual([true, 1, false]);
    expect([isOpen(early), isOpen(late)]).toEqual([true, false]);
    closeSync(early);
  });

  it("takes a descriptor that the main thread entrusts to it, until its end", () => {
    const memory = createEstateMemory();
    const [early, late] = [openSync(devNull, "r"), openFile()];
    expect([entrustDescriptor(memory, early), settle(memory), isOpen(early)]).toEqual([true, 1, false]);
    expect([entrustDescriptor(memory, late), settle(memory), isOpen(late)]).toEqual([false, 0, true]);
  });

  it("opens no descriptor that programs inherit", () => {
    const memory = createEstateMemory();
    const copy = new Estate(memory, THREAD).duplicate(openFile());
    const { stdout } = spawnSync("readlink", [`/proc/self/fd/${copy}`], { encoding: "utf8" });
    expect(stdout).not.toContain(devNull);
    settle(memory);
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
