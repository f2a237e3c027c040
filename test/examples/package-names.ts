/** For `node --import`: resolves a program's imports of the package to these sources, in its threads, too. */
import { registerHooks } from "node:module";

const ENTRIES: Readonly<Record<string, string>> = {
  switchboard: "../../src/index.ts",
  "switchboard/centrifuge": "../../src/server/centrifuge/index.ts",
  "switchboard/metrics": "../../src/board/metrics/index.ts",
  "switchboard/redis": "../../src/engines/redis/index.ts",
  "switchboard/upgrade": "../../src/wire/upgrade/index.ts",
  "switchboard/websocket": "../../src/wire/websocket/index.ts",
};

registerHooks({
  resolve(specifier, context, next) {
    const entry = ENTRIES[specifier];
    return next(entry === undefined ? specifier : new URL(entry, import.meta.url).href, context);
  },
});
