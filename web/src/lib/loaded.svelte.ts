// Something asked of the gateway: what came, what went wrong, whether it is on its way.

import { isAbort, refusedOf, type Refused } from './api';

export class Loaded<T> {
  value = $state.raw<T | null>(null);
  problem = $state.raw<Refused | null>(null);
  loading = $state(true);
  #asked: AbortController | null = null;

  /** Ask; an answer to an earlier question is dropped. What was there stays until then. */
  async load(ask: (signal: AbortSignal) => Promise<T>): Promise<void> {
    this.#asked?.abort();
    const asked = new AbortController();
    this.#asked = asked;
    this.loading = true;
    try {
      this.value = await ask(asked.signal);
      this.problem = null;
    } catch (error) {
      if (asked.signal.aborted || isAbort(error)) return;
      this.problem = refusedOf(error);
    } finally {
      if (this.#asked === asked) this.loading = false;
    }
  }

  stop(): void {
    this.#asked?.abort();
  }
}

/** Do something now and then, but not while nobody looks; the answer ends it. */
export function every(ms: number, act: () => void): () => void {
  const timer = setInterval(() => {
    if (!document.hidden) act();
  }, ms);
  return () => clearInterval(timer);
}
