/**
 * The judge of the cluster faults. From what each subscriber saw, what each publisher was told and what the history has
 * at the end, the judge says what was broken: a duplicate, a hole that nobody was told of, two orders, a publication
 * that was acknowledged and is gone.
 */
import type { Position } from "../../../src/runtime/streams/position.ts";
import type { Seen } from "./messages.ts";

/**
 * One line of what a subscriber of a topic wrote down.
 *
 * - `publication`: it saw this one.
 * - `joined`, `told`: it begins here, because it is new, or was told that it lost its place.
 * - `recovered`: it came back, and was told that it has everything up to here.
 */
export type Line =
  | ({ readonly kind: "publication" } & Seen)
  | { readonly kind: "joined"; readonly position: Position }
  | { readonly kind: "told"; readonly position: Position }
  | { readonly kind: "recovered"; readonly position: Position };

export interface SubscriberLog {
  readonly name: string;
  readonly lines: readonly Line[];
}

export interface StoredText {
  readonly text: string;
  readonly position: Position;
}

export interface TopicRecord {
  readonly subscribers: readonly SubscriberLog[];
  /** What publishers were told to be stored. */
  readonly stored: readonly StoredText[];
  /** What the history has at the end, all of its epoch. */
  readonly history: readonly Seen[];
  readonly top: Position;
}

/** Part of a stream that a subscriber saw without a hole: offsets `after + 1` to `to`. */
interface Stretch {
  readonly epoch: string;
  readonly after: number;
  to: number;
}

const placeOf = ({ epoch, offset }: Position): string => `${epoch} ${offset}`;

/** Returns a sentence for each promise that was broken; none if all was kept. */
export function judge({ subscribers, stored, history, top }: TopicRecord): string[] {
  const broken: string[] = [];
  /** Text at each place, as everybody tells it. */
  const texts = new Map<string, string>();
  const tell = (who: string, position: Position, text: string): void => {
    const place = placeOf(position);
    const known = texts.get(place) ?? text;
    if (known !== text) broken.push(`${who}: ${text} at ${place}, where others have ${known}`);
    texts.set(place, known);
  };
  for (const { text, position } of stored) tell("publisher", position, text);
  for (const { text, ...position } of history) tell("history", position, text);
  for (const { name, lines } of subscribers) {
    const stretches = follow(name, lines, broken);
    for (const line of lines) if (line.kind === "publication") tell(name, line, line.text);
    const last = stretches.at(-1);
    if (last === undefined || last.epoch !== top.epoch || last.to !== top.offset) {
      broken.push(`${name} ended at ${last?.epoch} ${last?.to}, and the top is ${placeOf(top)}`);
    }
    for (const { text, position } of stored) {
      if (isExcused(stretches, position)) continue;
      broken.push(`${name} never saw ${text} at ${placeOf(position)}, and wasn't told`);
    }
  }
  const kept = new Set(history.map(placeOf));
  for (const { text, position } of stored) {
    if (position.epoch === top.epoch && !kept.has(placeOf(position))) broken.push(`the history lacks ${text}`);
  }
  return broken;
}

/** Whether a subscriber saw a publication, was told that it may have missed it, or came only later. */
function isExcused(stretches: readonly Stretch[], { epoch, offset }: Position): boolean {
  const index = stretches.findLastIndex((one) => one.epoch === epoch && one.after < offset);
  const stretch = stretches[index];
  // Each stretch but the last one ended because the subscriber was told.
  if (stretch !== undefined) return offset <= stretch.to || index < stretches.length - 1;
  return stretches.length > 1 || stretches[0]?.epoch === epoch;
}

/** Follows one subscriber, and returns what it saw without a hole. */
function follow(name: string, lines: readonly Line[], broken: string[]): Stretch[] {
  const stretches: Stretch[] = [];
  const seen = new Set<string>();
  const newest = new Map<string, number>();
  for (const line of lines) {
    const current = stretches.at(-1);
    if (line.kind === "joined" || line.kind === "told") {
      const { epoch, offset } = line.position;
      const before = stretches.findLast((one) => one.epoch === epoch);
      if (before !== undefined && before !== current) broken.push(`${name}: epoch ${epoch} came back`);
      if (before !== undefined && offset < before.to) broken.push(`${name}: went back to ${placeOf(line.position)}`);
      stretches.push({ epoch, after: offset, to: offset });
    } else if (line.kind === "recovered") {
      const here = current && { epoch: current.epoch, offset: current.to };
      if (here === undefined || placeOf(here) !== placeOf(line.position)) {
        broken.push(`${name}: said to be recovered at ${placeOf(line.position)}, and is at ${here && placeOf(here)}`);
      }
    } else {
      if (seen.has(line.text)) broken.push(`${name}: ${line.text} twice`);
      seen.add(line.text);
      const [publisher = "", number = ""] = line.text.split(" ");
      if (Number(number) <= (newest.get(publisher) ?? 0)) broken.push(`${name}: ${line.text} after a later one`);
      newest.set(publisher, Number(number));
      if (current === undefined || current.epoch !== line.epoch || current.to + 1 !== line.offset) {
        broken.push(`${name}: ${placeOf(line)} after ${current?.epoch} ${current?.to}, and wasn't told`);
        stretches.push({ epoch: line.epoch, after: line.offset - 1, to: line.offset });
      } else current.to = line.offset;
    }
  }
  return stretches;
}
