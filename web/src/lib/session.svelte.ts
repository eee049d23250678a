// The token: taken from the address or typed once, kept for this tab only.

import { Api, Refused, refusedOf, type Who } from './api';
import { decoded, go } from './route.svelte';

const KEY = 'effectmesh.token';
const UPLOADS = 'effectmesh.upload.';
const FRAGMENT = /^#token=(.+)$/;

const UNKNOWN = new Refused({
  status: 401,
  detail: 'this token is not known here',
  hint: 'copy it whole; one that was made while the gateway ran is known after its next start',
});

class Session {
  api = $state.raw(new Api());
  who = $state.raw<Who | null>(null);
  checking = $state(false);
  problem = $state.raw<Refused | null>(null);

  /** Take the token of the address, or the one this tab had before. */
  begin(): void {
    addEventListener('hashchange', () => this.#takeFragment());
    if (this.#takeFragment()) return;
    const kept = sessionStorage.getItem(KEY);
    if (kept) void this.signIn(kept);
  }

  async signIn(token: string): Promise<boolean> {
    this.checking = true;
    this.problem = null;
    const api = new Api(token, () => this.#lost());
    try {
      this.who = await api.whoami();
      this.api = api;
      sessionStorage.setItem(KEY, token);
      return true;
    } catch (error) {
      const problem = refusedOf(error);
      this.problem = problem.status === 401 ? UNKNOWN : problem;
      return false;
    } finally {
      this.checking = false;
    }
  }

  signOut(): void {
    for (const key of Object.keys(sessionStorage)) {
      if (key === KEY || key.startsWith(UPLOADS)) sessionStorage.removeItem(key);
    }
    this.who = null;
    this.api = new Api();
    this.problem = null;
    go('/');
  }

  /** Forget a token that the gateway has forgotten, but stay where we are. */
  #lost(): void {
    sessionStorage.removeItem(KEY);
    this.who = null;
    this.api = new Api();
    this.problem = UNKNOWN;
  }

  #takeFragment(): boolean {
    const found = FRAGMENT.exec(location.hash)?.[1];
    if (!found) return false;
    go('/', { replace: true });
    void this.signIn(decoded(found));
    return true;
  }
}

export const session = new Session();

/** Where this tab remembers how far the upload of a file came. */
export function uploadKey(file: File): string {
  return `${UPLOADS}${file.size}.${file.lastModified}.${file.name}`;
}
