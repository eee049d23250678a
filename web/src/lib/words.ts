// How things are called, and how numbers, times and tokens are written.

import type { JobState } from './types';

/** The way of a job that goes well, in order. */
export const STEPS: { state: JobState; label: string }[] = [
  { state: 'INGESTED', label: 'Order' },
  { state: 'ANALYZING', label: 'Analysis' },
  { state: 'PROMPTING', label: 'Prompts' },
  { state: 'ROUTING', label: 'Routing' },
  { state: 'TESTING', label: 'Renders' },
  { state: 'EVALUATING', label: 'Scoring' },
  { state: 'SELECTED', label: 'Selection' },
  { state: 'AWAITING_APPROVAL', label: 'Approval' },
  { state: 'PUBLISHING', label: 'Publishing' },
  { state: 'COMPLETE', label: 'Published' },
];

export const STATES: Record<JobState, string> = {
  INGESTED: 'Order taken',
  ANALYZING: 'Looking at the clip',
  PROMPTING: 'Writing prompts',
  ROUTING: 'Choosing providers',
  TESTING: 'Rendering',
  EVALUATING: 'Scoring',
  SELECTED: 'Winner chosen',
  AWAITING_APPROVAL: 'Waiting for approval',
  PUBLISHING: 'Publishing',
  COMPLETE: 'Published',
  ANALYSIS_FAILED: 'Analysis failed',
  EXECUTION_FAILED: 'Every render failed',
  REJECTED: 'Not published',
  QUOTA_EXCEEDED: 'Not enough tokens',
  CANCELLED: 'Cancelled',
  TIMED_OUT: 'Timed out',
};

const ENDED_BADLY: JobState[] = [
  'ANALYSIS_FAILED',
  'EXECUTION_FAILED',
  'REJECTED',
  'QUOTA_EXCEEDED',
  'CANCELLED',
  'TIMED_OUT',
];

export type Tone = 'ok' | 'warn' | 'bad' | 'busy';

/** How a state is coloured. */
export function toneOf(state: JobState): Tone {
  if (state === 'COMPLETE') return 'ok';
  if (state === 'AWAITING_APPROVAL') return 'warn';
  return ENDED_BADLY.includes(state) ? 'bad' : 'busy';
}

export function hasEnded(state: JobState): boolean {
  return state === 'COMPLETE' || ENDED_BADLY.includes(state);
}

/** `color_correction` as a person writes it. */
export function plain(name: string): string {
  const words = name.replaceAll('_', ' ');
  return words.charAt(0).toUpperCase() + words.slice(1);
}

const MICRO = 1_000_000;
const TOKENS = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 2 });
const FINE = new Intl.NumberFormat('en', { minimumFractionDigits: 2, maximumFractionDigits: 6 });
const DATE = new Intl.DateTimeFormat('en', { dateStyle: 'medium', timeStyle: 'short' });
const CLOCK = new Intl.DateTimeFormat('en', { timeStyle: 'medium', hour12: false });
const SINCE = new Intl.RelativeTimeFormat('en', { numeric: 'auto' });

export function tokens(micro: number, { exact = false } = {}): string {
  return (exact ? FINE : TOKENS).format(micro / MICRO);
}

export function percent(share: number | null): string {
  return share === null ? '–' : `${(share * 100).toFixed(1)} %`;
}

export function score(value: number | null): string {
  return value === null ? '–' : value.toFixed(2);
}

export function seconds(ms: number | null): string {
  if (ms === null) return '–';
  if (ms < 1000) return `${Math.max(Math.round(ms), 0)} ms`;
  return ms < 60_000 ? `${(ms / 1000).toFixed(1)} s` : `${Math.floor(ms / 60_000)} min ${Math.round((ms % 60_000) / 1000)} s`;
}

export function bytes(count: number): string {
  if (count < 1024 * 1024) return `${Math.max(Math.round(count / 1024), 1)} kB`;
  return `${(count / 1024 / 1024).toFixed(1)} MB`;
}

export function date(iso: string): string {
  return DATE.format(new Date(iso));
}

export function clock(iso: string): string {
  return CLOCK.format(new Date(iso));
}

/** How long ago something was, in the largest unit that fits. */
export function ago(iso: string, now: number): string {
  const past = (new Date(iso).getTime() - now) / 1000;
  if (past > -45) return 'just now';
  if (past > -3600) return SINCE.format(Math.round(past / 60), 'minute');
  if (past > -86_400) return SINCE.format(Math.round(past / 3600), 'hour');
  return SINCE.format(Math.round(past / 86_400), 'day');
}

/** A key no other order has; `randomUUID` exists on secure origins only. */
export function newKey(): string {
  const dice = crypto.getRandomValues(new Uint8Array(16));
  return Array.from(dice, (one) => one.toString(16).padStart(2, '0')).join('');
}
