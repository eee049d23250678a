// A job's live frames over a WebSocket that comes back by itself and misses nothing.

import type { Frame, Problem } from './types';

const FIRST_WAIT_MS = 250;
const LONGEST_WAIT_MS = 15_000;
/** The gateway beats every 20 s; after two missed beats the line is dead. */
const SILENCE_MS = 50_000;
const UNKNOWN_TOKEN = 4401;

export type Link = 'connecting' | 'live' | 'waiting' | 'over';

export interface Watch {
  token: string;
  jobId: string;
  onFrame: (frame: Frame) => void;
  onLink: (link: Link) => void;
}

/** Follow a job until its end; the answer stops it. */
export function follow(watch: Watch): () => void {
  const feed = new Feed(watch);
  feed.open();
  return () => feed.stop();
}

class Feed {
  readonly #watch: Watch;
  readonly #channel: string;
  #socket: WebSocket | null = null;
  #seq = 0;
  #failures = 0;
  #over = false;
  #retry = 0;
  #silence = 0;
  readonly #online = () => this.#retryNow();

  constructor(watch: Watch) {
    this.#watch = watch;
    this.#channel = `job:${watch.jobId}`;
    addEventListener('online', this.#online);
  }

  open(): void {
    this.#watch.onLink('connecting');
    const socket = new WebSocket(`${location.origin.replace(/^http/, 'ws')}/v1/ws`);
    this.#socket = socket;
    socket.onopen = () => {
      socket.send(JSON.stringify({ type: 'auth', token: this.#watch.token }));
      socket.send(JSON.stringify({ type: 'subscribe', channel: this.#channel, since: this.#seq }));
      this.#beat();
    };
    socket.onmessage = (message) => this.#take(JSON.parse(message.data as string) as Frame);
    socket.onclose = (closed) => this.#closed(closed.code);
  }

  stop(): void {
    if (this.#over) return;
    this.#over = true;
    clearTimeout(this.#retry);
    clearTimeout(this.#silence);
    removeEventListener('online', this.#online);
    this.#drop();
    this.#watch.onLink('over');
  }

  #take(frame: Frame): void {
    this.#beat();
    if (frame.channel !== this.#channel) return;
    if (frame.type === 'error') {
      const passing = (frame.data as Problem).status === 503;
      passing ? this.#again() : this.stop();
      return;
    }
    this.#failures = 0;
    this.#seq = Math.max(this.#seq, frame.seq);
    this.#watch.onLink('live');
    this.#watch.onFrame(frame);
    if (frame.type === 'end') this.stop();
  }

  #closed(code: number): void {
    if (code === UNKNOWN_TOKEN) this.stop();
    else this.#again();
  }

  /** Come back after a random time that grows: a restarted gateway is not met by all at once. */
  #again(): void {
    if (this.#over) return;
    this.#drop();
    clearTimeout(this.#silence);
    clearTimeout(this.#retry);
    this.#watch.onLink('waiting');
    const most = Math.min(LONGEST_WAIT_MS, FIRST_WAIT_MS * 2 ** this.#failures);
    this.#failures += 1;
    this.#retry = window.setTimeout(() => this.open(), FIRST_WAIT_MS + Math.random() * most);
  }

  #retryNow(): void {
    if (this.#socket !== null) return;
    clearTimeout(this.#retry);
    this.open();
  }

  #drop(): void {
    const socket = this.#socket;
    this.#socket = null;
    if (socket === null) return;
    socket.onopen = socket.onmessage = socket.onclose = null;
    socket.close();
  }

  #beat(): void {
    clearTimeout(this.#silence);
    this.#silence = window.setTimeout(() => this.#again(), SILENCE_MS);
  }
}
