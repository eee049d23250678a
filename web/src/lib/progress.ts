// What was seen of a job so far: pure, frame by frame.

import type { Frame, JobProgressed, JobState } from './types';

export interface Render {
  percent: number;
  detail: string;
}

export interface Line {
  seq: number;
  at: string;
  stage: JobState;
  detail: string;
}

export interface Seen {
  /** The state lines, oldest first. */
  lines: Line[];
  /** By task id. */
  renders: Record<string, Render>;
}

export const NOTHING: Seen = { lines: [], renders: {} };

const LINES_KEPT = 200;

/** What is known after one more frame. */
export function after(seen: Seen, frame: Frame): Seen {
  const said = frame.data as JobProgressed;
  if (frame.type === 'progress') {
    const render = { percent: said.percent ?? 0, detail: said.detail };
    return { ...seen, renders: { ...seen.renders, [said.task_id]: render } };
  }
  if (frame.type !== 'state' && frame.type !== 'end') return seen;
  const last = seen.lines.at(-1);
  if (last && last.stage === said.stage && last.detail === said.detail) return seen;
  const line = { seq: frame.seq, at: frame.ts, stage: said.stage as JobState, detail: said.detail };
  return { ...seen, lines: [...seen.lines, line].slice(-LINES_KEPT) };
}

/** How long a job stayed in a state, in milliseconds; null when that was not seen, or goes on. */
export function stay(seen: Seen, state: JobState): number | null {
  const first = seen.lines.findIndex((line) => line.stage === state);
  const next = seen.lines.findIndex((line, index) => index > first && line.stage !== state);
  const from = seen.lines[first];
  const to = seen.lines[next];
  return from && to ? Date.parse(to.at) - Date.parse(from.at) : null;
}
