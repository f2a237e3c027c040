/** What a placement looks at. */
export interface Candidate {
  /** Connections there or on their way. */
  readonly load: number;
}

/** Picks the candidate with the fewest connections; among equals they take turns. */
export function leastConnections<T extends Candidate>(candidates: () => readonly T[]): () => T | undefined {
  let turn = 0;
  return () => {
    const all = candidates();
    let best: T | undefined;
    for (let i = 0; i < all.length; i++) {
      const candidate = all[(turn + i) % all.length] as T;
      if (best === undefined || candidate.load < best.load) best = candidate;
    }
    turn++;
    return best;
  };
}
