/** A Prometheus histogram over the histograms that shards write in shared memory. */
import { Histogram, type HistogramConfiguration } from "prom-client";
import type { HistogramValues } from "../../runtime/stats/histogram.ts";

interface ShownValue {
  readonly metricName: string;
  readonly labels: Readonly<Record<string, string | number>>;
  readonly sharedLabels: Readonly<Record<string, string>>;
  readonly value: number;
}

/** A Prometheus histogram whose values the shards count. */
export class PrometheusHistogram extends Histogram {
  readonly #spec: HistogramConfiguration<string>;
  readonly #read: () => readonly HistogramValues[];

  constructor(spec: HistogramConfiguration<string>, read: () => readonly HistogramValues[]) {
    super({ ...spec, labelNames: ["shard"] });
    this.#spec = spec;
    this.#read = read;
  }

  /** Method that a registry and `get` call; the types of prom-client don't show it. */
  async getForPromString() {
    const { name, help } = this.#spec;
    const values = this.#read().flatMap((histogram, shard) => shownValues(name, histogram, { shard: String(shard) }));
    return { name, help, type: "histogram", aggregator: "sum", values };
  }
}

/** Returns the cumulative buckets that Prometheus wants. */
function shownValues(
  name: string,
  { buckets, sum, count }: HistogramValues,
  sharedLabels: ShownValue["sharedLabels"],
): ShownValue[] {
  let below = 0;
  const shown = buckets.map((bucket) => {
    below += bucket.count;
    const le = bucket.le === Number.POSITIVE_INFINITY ? "+Inf" : bucket.le;
    return { metricName: `${name}_bucket`, labels: { le }, sharedLabels, value: below };
  });
  return [
    ...shown,
    { metricName: `${name}_sum`, labels: {}, sharedLabels, value: sum },
    { metricName: `${name}_count`, labels: {}, sharedLabels, value: count },
  ];
}
