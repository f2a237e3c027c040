/** Moves the clock of a process, in each of its threads: `node --import clock-ahead.ts`, CLOCK_AHEAD_MS=600000. */
const aheadMs = Number(process.env["CLOCK_AHEAD_MS"]);
const RealDate = Date;

globalThis.Date = new Proxy(RealDate, {
  construct: (_target, args: unknown[]) =>
    args.length === 0 ? new RealDate(RealDate.now() + aheadMs) : Reflect.construct(RealDate, args),
  get: (target, name, receiver) =>
    name === "now" ? () => RealDate.now() + aheadMs : Reflect.get(target, name, receiver),
});
