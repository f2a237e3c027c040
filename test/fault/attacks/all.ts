/** All attacks, by family. Used by the fault report, the tests and the attacker thread. */
import type { Attack } from "./attack.ts";
import { churn } from "./churn.ts";
import { deflate } from "./deflate.ts";
import { fragments } from "./fragments.ts";
import { frames } from "./frames.ts";
import { handshakes } from "./handshakes.ts";
import { http2 } from "./http2.ts";
import { shards } from "./shards.ts";
import { slow } from "./slow.ts";
import { topics } from "./topics.ts";

/** All attacks, by family. */
export const families = {
  fragments,
  frames,
  deflate,
  handshakes,
  http2,
  slow,
  topics,
  churn,
  shards,
} as const satisfies Record<string, readonly Attack[]>;

export const attacks: readonly Attack[] = Object.values(families).flat();
