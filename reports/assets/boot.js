/* The page's only plain script: unpacks the others, which travel gzipped (a third of their size), and runs them. The
   content security policy knows them by the hashes of their text, so nothing else can come in this way.
   `window.ipctrace.ready` is fulfilled when all is drawn (start.js). */
'use strict';
/* The bytes of a packed element (columns.py): base64 → gunzip. */
async function gunzip(element) {
  const bytes = Uint8Array.fromBase64 ? Uint8Array.fromBase64(element.textContent) : Uint8Array.from(atob(element.textContent), c => c.charCodeAt(0));
  element.remove(); // its text is no longer needed: let it go
  return new Uint8Array(await new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream('gzip'))).arrayBuffer());
}
async function run(id) {
  const source = new TextDecoder().decode(await gunzip(document.getElementById(id)));
  document.head.append(Object.assign(document.createElement('script'), { textContent: source }));
}
window.ipctrace = { times: {}, ready: run('script').then(() => window.ipctrace.start()) };
