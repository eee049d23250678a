import { svelte } from '@sveltejs/vite-plugin-svelte';
import { defineConfig } from 'vite';

const gateway = process.env.GATEWAY ?? 'http://127.0.0.1:8787';

// One script and one style sheet, both as files: the gateway's content security policy allows
// nothing inline, and a `data:` address would be refused for a font or a script.
export default defineConfig({
  plugins: [svelte()],
  build: {
    outDir: '../gateway/static',
    emptyOutDir: true,
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    cssCodeSplit: false,
    target: 'es2022',
  },
  server: {
    proxy: { '/v1': { target: gateway, ws: true } },
  },
});
