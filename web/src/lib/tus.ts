// A resumable upload after tus 1.0, over fetch. What was acknowledged is never sent twice.

import { Refused, pause, type Api } from './api';

const PIECE_BYTES = 2 * 1024 * 1024;
const PIECE_WITHIN_MS = 120_000;
const TRIES = 8;
const WAIT_MS = 500;
const LONGEST_NAME = 200;
const VERSION = { 'Tus-Resumable': '1.0.0' };

export interface UploadTask {
  api: Api;
  file: File;
  signal: AbortSignal;
  /** Told how many bytes are safe. */
  told: (bytes: number) => void;
  /** Where the address of an unfinished upload is kept between two visits. */
  memory: { recall: () => string | null; remember: (address: string) => void; forget: () => void };
}

interface Offset {
  bytes: number;
  videoId: string | null;
}

/** Upload a file and return its video id; goes on where an earlier try came to. */
export async function upload(task: UploadTask): Promise<string> {
  let { address, offset } = await start(task);
  let failures = 0;
  while (offset.videoId === null) {
    task.told(offset.bytes);
    try {
      offset = await sendPiece(task, address, offset.bytes);
      failures = 0;
    } catch (error) {
      if (!mayGoOn(error) || (failures += 1) >= TRIES) {
        if (!mayGoOn(error)) task.memory.forget();
        throw error;
      }
      await pause(WAIT_MS * failures, task.signal);
      offset = (await offsetOf(task, address).catch(() => null)) ?? offset;
    }
  }
  task.told(task.file.size);
  return offset.videoId;
}

async function start(task: UploadTask): Promise<{ address: string; offset: Offset }> {
  const known = task.memory.recall();
  if (known) {
    try {
      return { address: known, offset: await offsetOf(task, known) };
    } catch (error) {
      if (error instanceof Refused && error.passing) throw error;
      task.memory.forget();
    }
  }
  const name = encode(task.file.name.slice(-LONGEST_NAME));
  const answer = await task.api.send('/v1/tus', {
    method: 'POST',
    headers: { ...VERSION, 'Upload-Length': `${task.file.size}`, 'Upload-Metadata': `filename ${name}` },
    signal: task.signal,
  });
  const address = answer.headers.get('Location') ?? '';
  task.memory.remember(address);
  return { address, offset: offsetIn(answer) };
}

async function sendPiece(task: UploadTask, address: string, from: number): Promise<Offset> {
  const answer = await task.api.send(
    address,
    {
      method: 'PATCH',
      headers: {
        ...VERSION,
        'Upload-Offset': `${from}`,
        'Content-Type': 'application/offset+octet-stream',
      },
      body: task.file.slice(from, from + PIECE_BYTES),
      signal: task.signal,
    },
    PIECE_WITHIN_MS,
  );
  return offsetIn(answer);
}

async function offsetOf(task: UploadTask, address: string): Promise<Offset> {
  return offsetIn(await task.api.send(address, { method: 'HEAD', headers: VERSION, signal: task.signal }));
}

function offsetIn(answer: Response): Offset {
  return { bytes: Number(answer.headers.get('Upload-Offset')), videoId: answer.headers.get('Video-Id') };
}

/** A broken line, a busy upload and a wrong offset are cured by asking where it goes on. */
function mayGoOn(error: unknown): boolean {
  return error instanceof Refused && (error.passing || error.status === 409 || error.status === 423);
}

function encode(text: string): string {
  return btoa(String.fromCharCode(...new TextEncoder().encode(text)));
}
