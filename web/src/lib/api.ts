// The gateway's HTTP API. Every refusal becomes one kind of error that a view can show.

import type { CallerView, Problem } from './types';

const ANSWER_WITHIN_MS = 30_000;
const CLIP_WITHIN_MS = 300_000;
const TRIES = 3;
const WAIT_MS = 600;

/** What went wrong, in the gateway's own words where it had any. */
export class Refused extends Error {
  readonly status: number;
  readonly code: string;
  readonly hint: string;

  constructor(problem: Partial<Problem>) {
    super(problem.detail || problem.title || 'the gateway refused');
    this.status = problem.status ?? 0;
    this.code = problem.code ?? '';
    this.hint = problem.hint ?? '';
  }

  /** Whether the same request may succeed a moment later. */
  get passing(): boolean {
    return this.status === 0 || this.status === 503;
  }
}

/** Who a token belongs to, as far as the page must know. */
export interface Who {
  tenant: string;
  isAdmin: boolean;
  isOperator: boolean;
}

export class Api {
  readonly token: string;
  readonly #lost: () => void;

  /** `lost` is told when the token is known no longer. */
  constructor(token = '', lost: () => void = () => {}) {
    this.token = token;
    this.#lost = lost;
  }

  async get<T>(path: string, signal?: AbortSignal): Promise<T> {
    for (let tried = 1; ; tried += 1) {
      try {
        const answer = await this.send(path, { signal });
        return (await answer.json()) as T;
      } catch (error) {
        if (!(error instanceof Refused && error.passing) || tried >= TRIES) throw error;
        await pause(WAIT_MS * tried, signal);
      }
    }
  }

  async post<T>(path: string, body: unknown = {}, headers: Record<string, string> = {}): Promise<T> {
    const answer = await this.send(path, {
      method: 'POST',
      body: JSON.stringify(body),
      headers: { 'Content-Type': 'application/json', ...headers },
    });
    return (await answer.json()) as T;
  }

  /** A clip as an address a player takes; a player cannot send the token itself. */
  async clip(path: string, signal: AbortSignal): Promise<string> {
    const answer = await this.send(path, { signal }, CLIP_WITHIN_MS);
    return URL.createObjectURL(await answer.blob());
  }

  /** Say who we are. */
  async whoami(): Promise<Who> {
    const me = await this.get<CallerView>('/v1/me');
    const isAdmin = me.role === 'admin';
    return { isAdmin, isOperator: isAdmin && me.tenant_id === '*', tenant: me.tenant_id };
  }

  async send(path: string, init: RequestInit, within = ANSWER_WITHIN_MS): Promise<Response> {
    const headers = new Headers(init.headers);
    if (this.token) headers.set('Authorization', `Bearer ${this.token}`);
    const limit = AbortSignal.timeout(within);
    const signal = init.signal ? AbortSignal.any([init.signal, limit]) : limit;
    let answer: Response;
    try {
      answer = await fetch(path, { ...init, headers, signal });
    } catch (error) {
      if (init.signal?.aborted) throw error;
      throw new Refused({
        code: 'UNREACHABLE',
        detail: limit.aborted ? 'the gateway did not answer in time' : 'the gateway cannot be reached',
        hint: 'check that it is up, then try again',
      });
    }
    if (answer.ok) return answer;
    if (answer.status === 401 && this.token) this.#lost();
    throw new Refused(await problemOf(answer));
  }
}

/** Wait, or throw when the signal is aborted. */
export function pause(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    const timer = setTimeout(resolve, ms);
    signal?.addEventListener('abort', () => {
      clearTimeout(timer);
      reject(signal.reason);
    });
  });
}

/** Whether an error only says that nobody waits for the answer any more. */
export function isAbort(error: unknown): boolean {
  return error instanceof DOMException && error.name === 'AbortError';
}

/** An error as a view shows it. */
export function refusedOf(error: unknown): Refused {
  if (error instanceof Refused) return error;
  return new Refused({ code: 'PAGE_ERROR', detail: String(error), hint: 'reload the page' });
}

async function problemOf(answer: Response): Promise<Partial<Problem>> {
  const plain = { status: answer.status, title: `the gateway answered ${answer.status}` };
  try {
    return { ...plain, ...((await answer.json()) as Problem) };
  } catch {
    return plain;
  }
}
