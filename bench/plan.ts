/**
 * Plans the runs of the suite: the servers and variants of each scenario, and their order in a turn. Used by `run.ts`
 * and `slices.ts`.
 */
import type { Scenario, Variant } from "./scenarios.ts";
import type { Found, TestedServer } from "./servers.ts";
import type { Job } from "./start.ts";
import { UsageError } from "./usage-error.ts";

/** A server that can be started on this machine. */
export interface ReadyServer {
  readonly server: TestedServer;
  readonly found: Found & { readonly kind: "found" };
}

/** The scenarios and servers selected by flags. undefined: no selection. */
export interface Selection {
  readonly full: boolean;
  readonly scenarios: readonly string[] | undefined;
  /** Ids of servers or of variants. */
  readonly servers: readonly string[] | undefined;
}

/** A scenario with one job for each variant, in the order of the first round. */
export interface ScenarioRun {
  readonly scenario: Scenario;
  readonly jobs: readonly Job[];
}

/**
 * Plans one run for each selected scenario in which some ready server takes part. Throws a `UsageError` for an unknown
 * scenario.
 */
export function planScenarioRuns(
  scenarios: readonly Scenario[],
  ready: readonly ReadyServer[],
  selection: Selection,
): ScenarioRun[] {
  const selected = selection.scenarios ?? scenarios.filter(({ quick }) => selection.full || quick).map(({ id }) => id);
  for (const id of selected) {
    if (scenarios.some((scenario) => scenario.id === id)) continue;
    throw new UsageError(`there is no scenario ${id}, only ${scenarios.map((scenario) => scenario.id).join(", ")}`);
  }
  return scenarios
    .filter(({ id }) => selected.includes(id))
    .map((scenario) => ({
      scenario,
      jobs: variantsOf(scenario, ready, selection)
        .filter(({ id, server }) => selection.servers?.some((name) => name === id || name === server) ?? true)
        .flatMap((variant) => {
          const entry = ready.find(({ server }) => server.id === variant.server);
          return entry ? [{ scenario, variant, server: entry.server, command: entry.found.command }] : [];
        }),
    }))
    .filter(({ jobs }) => jobs.length > 0);
}

/**
 * Lists the variants of a scenario: those that the scenario names; otherwise each ready server with one thread and the
 * needed abilities. Echo-only servers take part as `Scenario.echoOnlyServers` says; "full" also includes them when
 * servers were selected by name.
 */
function variantsOf(
  scenario: Scenario,
  ready: readonly ReadyServer[],
  { full, servers }: Selection,
): readonly Variant[] {
  if (scenario.variants !== undefined) return scenario.variants;
  const { needs, echoOnlyServers } = scenario;
  const withEchoOnly = echoOnlyServers === "always" || (echoOnlyServers === "full" && (full || servers !== undefined));
  return ready
    .map(({ server }) => server)
    .filter(({ threads, echoOnly }) => threads === 1 && (!echoOnly || withEchoOnly))
    .filter(({ abilities }) => needs.every((ability) => abilities.includes(ability)))
    .map(({ id, title }) => ({ id, title, server: id, load: [] }));
}

/** Orders a turn: each pair of turns begins one place later, and the second of a pair runs in reverse order. */
export function orderOfTurn<T>(all: readonly T[], turn: number): readonly T[] {
  const first = all.length === 0 ? 0 : (turn >> 1) % all.length;
  const order = [...all.slice(first), ...all.slice(0, first)];
  return turn % 2 === 0 ? order : order.reverse();
}
