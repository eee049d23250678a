// Where we are. Everything stands behind the # of the address, so that the gateway serves one page.

interface Route {
  view: string;
  id: string;
  query: URLSearchParams;
}

class Place {
  now = $state.raw<Route>(read());

  constructor() {
    addEventListener('hashchange', () => this.update());
  }

  update(): void {
    this.now = read();
  }
}

export const place = new Place();

/** Go somewhere in the page; `replace` leaves no trace in the history. */
export function go(path: string, { replace = false } = {}): void {
  if (!replace) {
    location.hash = path;
    return;
  }
  history.replaceState(null, '', `${location.pathname}#${path}`);
  place.update();
}

/** A part of an address as it was meant; one that was cut in the middle of a letter stays as it is. */
export function decoded(part: string): string {
  try {
    return decodeURIComponent(part);
  } catch {
    return part;
  }
}

function read(): Route {
  const [path = '', query = ''] = location.hash.slice(1).split('?');
  const [view = '', id = ''] = path.split('/').filter(Boolean);
  return { view, id: decoded(id), query: new URLSearchParams(query) };
}
