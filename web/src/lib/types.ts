// What the gateway answers, field for field. A test compares these with the Python structs.

export type JobState =
  | 'INGESTED'
  | 'ANALYZING'
  | 'PROMPTING'
  | 'ROUTING'
  | 'TESTING'
  | 'EVALUATING'
  | 'SELECTED'
  | 'AWAITING_APPROVAL'
  | 'PUBLISHING'
  | 'COMPLETE'
  | 'ANALYSIS_FAILED'
  | 'EXECUTION_FAILED'
  | 'REJECTED'
  | 'QUOTA_EXCEEDED'
  | 'CANCELLED'
  | 'TIMED_OUT';

export type Priority = 'quality' | 'speed' | 'cost' | 'balanced';

export interface Problem {
  status: number;
  title: string;
  detail: string;
  code: string;
  hint: string;
}

export interface VideoMetadata {
  duration_ms: number;
  resolution: string;
  fps: number;
  codec: string;
  file_size_bytes: number;
  has_audio: boolean;
}

export interface UploadView {
  video_id: string;
  metadata: VideoMetadata;
}

export interface EffectProviderView {
  provider_id: string;
  subtypes: string[];
  expected_duration_ms: number;
}

export interface EffectView {
  effect_type: string;
  providers: EffectProviderView[];
}

export interface EffectsView {
  effects: EffectView[];
}

export interface CallerView {
  name: string;
  tenant_id: string;
  user_id: string;
  role: string;
}

export interface OrderBody {
  video_id: string;
  effect_type: string;
  effect_subtype: string;
  wish: string;
  user_preferences: Preferences;
  budget_tokens: number | null;
}

export interface Preferences {
  priority: Priority;
}

export interface AcceptedView {
  job_id: string;
  state: JobState;
}

export interface QualityVector {
  fidelity: number;
  artifacts: number;
  style_adherence: number;
  temporal_consistency: number;
  perceptual_hash_distance: number;
}

export interface CandidateView {
  task_id: string;
  provider_id: string;
  role: string;
  state: 'running' | 'succeeded' | 'failed' | 'scored';
  quality_vector: QualityVector | null;
  composite_score: number | null;
  confidence: number | null;
  duration_ms: number | null;
  cost_microtokens: number | null;
  attempts: number;
  error_code: string;
  message: string;
  video: string;
}

export interface RankView {
  task_id: string;
  provider_id: string;
  rank: number;
  score: number;
  outcome: string;
  reason: string;
}

export interface SelectionView {
  winning_task_id: string;
  winning_provider_id: string;
  composite_score: number;
  comparison_summary: string;
  ranking: RankView[];
}

export interface Scene {
  start_ms: number;
  end_ms: number;
  description: string;
}

export interface Analysis {
  scenes: Scene[];
  dominant_style: string;
  motion_pattern: string;
}

export interface Published {
  effect_id: string;
  revision: number;
}

export interface JobView {
  job_id: string;
  tenant_id: string;
  effect_type: string;
  effect_subtype: string;
  wish: string;
  state: JobState;
  ended: boolean;
  revision: number;
  created_at: string;
  updated_at: string;
  metadata: VideoMetadata | null;
  analysis: Analysis | null;
  candidates: CandidateView[];
  selection: SelectionView | null;
  published: Published | null;
  held_microtokens: number;
  charged_microtokens: number;
  code: string;
  reason: string;
  links: Record<string, string>;
}

export interface JobSummary {
  job_id: string;
  tenant_id: string;
  effect_type: string;
  state: JobState;
  created_at: string;
  updated_at: string;
  charged_microtokens: number;
  reason: string;
}

export interface JobPage {
  jobs: JobSummary[];
  next: string;
}

export interface LedgerLine {
  transfer_id: string;
  kind: string;
  debit: string;
  credit: string;
  amount_microtokens: number;
  at: string;
  memo: string;
}

export interface AccountView {
  job_id: string;
  charged_microtokens: number;
  lines: LedgerLine[];
  cost_microtokens: number | null;
  marginality: number | null;
}

export interface PendingApproval {
  job_id: string;
  tenant_id: string;
  state: 'pending' | 'approved' | 'rejected';
  requested_at: string;
  selection: Selection;
  decided_by: string;
  reason: string;
}

export interface Selection {
  winning_provider_id: string;
  composite_score: number;
  comparison_summary: string;
  effect_type: string;
}

export interface ApprovalPage {
  approvals: PendingApproval[];
}

export interface DecisionView {
  job_id: string;
  decision: string;
  state: string;
}

export interface GalleryItem {
  effect_id: string;
  revision_id: string;
  revision: number;
  effect_type: string;
  title: string;
  published_at: string;
  provider_id: string;
  composite_score: number;
}

export interface GalleryPage {
  effects: GalleryItem[];
  next: string;
}

export interface Wallet {
  tenant_id: string;
  available_microtokens: number;
  held_microtokens: number;
  spent_microtokens: number;
}

export interface TopUpView {
  tenant_id: string;
  amount_microtokens: number;
}

export interface Notification {
  job_id: string;
  kind: string;
  subject: string;
  body: string;
  at: string;
}

export interface NotificationPage {
  notifications: Notification[];
}

export interface MarginRow {
  window: '1h' | '24h' | '7d';
  provider_id: string;
  effect_type: string;
  tasks: number;
  failures: number;
  charged_microtokens: number;
  cost_microtokens: number;
  marginality: number | null;
}

export interface Margins {
  rows: MarginRow[];
  at: string;
}

export interface LedgerVerdict {
  entries: number;
  accounts: number;
  problems: string[];
  checked: string[];
}

export interface JobProgressed {
  stage: string;
  detail: string;
  percent?: number;
  task_id: string;
  provider_id: string;
  node?: string;
}

export interface Frame {
  channel: string;
  seq: number;
  ts: string;
  type: 'snapshot' | 'state' | 'progress' | 'end' | 'error' | 'hb';
  data: unknown;
}
