import type { Contestant, Found } from "./contestants.ts";
import type { Job } from "./measure.ts";
import type { Entrant, Scenario } from "./scenarios.ts";

export interface Ready {
  readonly contestant: Contestant;
  readonly found: Found & { readonly kind: "found" };
}

/** What somebody asked for; undefined: no preference. */
export interface Wishes {
  readonly full: boolean;
  readonly scenarios: readonly string[] | undefined;
  readonly contestants: readonly string[] | undefined;
}

/** One scenario with those who take part, in their order. */
export interface Contest {
  readonly scenario: Scenario;
  readonly jobs: readonly Job[];
}

/** Contests to hold, from what there is and what is asked for. Throws a RangeError for names that don't exist. */
export function planContests(scenarios: readonly Scenario[], ready: readonly Ready[], wishes: Wishes): Contest[] {
  const wanted = wishes.scenarios ?? scenarios.filter(({ quick }) => wishes.full || quick).map(({ id }) => id);
  for (const id of wanted) {
    if (scenarios.some((scenario) => scenario.id === id)) continue;
    throw new RangeError(`there is no scenario ${id}, only ${scenarios.map((one) => one.id).join(", ")}`);
  }
  return scenarios
    .filter(({ id }) => wanted.includes(id))
    .map((scenario) => ({
      scenario,
      jobs: entrantsOf(scenario, ready, wishes)
        .filter(({ id, contestant }) => wishes.contestants?.some((name) => name === id || name === contestant) ?? true)
        .flatMap((entrant) => {
          const one = ready.find(({ contestant }) => contestant.id === entrant.contestant);
          return one ? [{ scenario, entrant, contestant: one.contestant, command: one.found.command }] : [];
        }),
    }))
    .filter(({ jobs }) => jobs.length > 0);
}

/** Everybody who can do it and has one thread for it, unless the scenario says who. Controls also come where they are asked for by name. */
function entrantsOf(scenario: Scenario, ready: readonly Ready[], { full, contestants }: Wishes): readonly Entrant[] {
  if (scenario.entrants !== undefined) return scenario.entrants;
  const { needs, controls } = scenario;
  const withControls = controls === "always" || (controls === "full" && (full || contestants !== undefined));
  return ready
    .map(({ contestant }) => contestant)
    .filter(({ threads, control }) => threads === 1 && (!control || withControls))
    .filter(({ abilities }) => needs.every((ability) => abilities.includes(ability)))
    .map(({ id, title }) => ({ id, title, contestant: id, load: [] }));
}

/** The runs of one round. Every other round goes the other way about, so that nobody always comes after the same neighbour. */
export function roundOf(jobs: readonly Job[], round: number): readonly Job[] {
  return round % 2 === 1 ? jobs : jobs.toReversed();
}
