/** Durations as text, such as "25s": what the config file and the commands take. */

const UNITS = { ms: 1, s: 1_000, m: 60_000, h: 3_600_000, d: 86_400_000 } as const;
const DURATION = /^(?:\d+(?:\.\d+)?(?:ms|s|m|h|d))+$/;
const PART = /(\d+(?:\.\d+)?)(ms|s|m|h|d)/g;

/** Pattern of a duration, as the JSON schema has it. */
export const DURATION_PATTERN = `${DURATION.source}|^0$`;

/** Longest duration in ms: a hundred years. */
export const MAX_DURATION_MS = 100 * 365 * UNITS.d;

/** Reads a duration such as "300ms", "25s", "1h30m", "30d" or "0". Returns ms; undefined if the text is none. */
export function parseDuration(text: string): number | undefined {
  if (text === "0") return 0;
  if (!DURATION.test(text)) return undefined;
  let ms = 0;
  for (const [, count = "", unit = ""] of text.matchAll(PART)) ms += Number(count) * UNITS[unit as keyof typeof UNITS];
  return ms <= MAX_DURATION_MS ? Math.round(ms) : undefined;
}

/** Writes a duration in ms with the largest unit that needs no fraction: 300_000 is "5m". */
export function formatDuration(ms: number): string {
  const units = Object.entries(UNITS).toReversed();
  const [unit, length] = units.find(([, length]) => ms >= length && ms % length === 0) ?? ["s", UNITS.s];
  return `${ms / length}${unit}`;
}
