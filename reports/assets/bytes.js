/* The bytes of a message: a hexdump and the text beside it, both selectable by themselves (the offsets are not part of a
   selection), searchable by the browser's own search, and windowed: only as many bytes as were asked for are in the page. */
const FIRST_BYTES = 512, MORE_BYTES = 65536;
const DUMPS = { both: 'Both', hex: 'Hex', text: 'Text' };
let bytesShown = FIRST_BYTES, dump = 'both';

const hexOf = bytes => Array.from(bytes, v => v.toString(16).padStart(2, '0')).join(' ');
const latin = bytes => { let s = ''; for (let k = 0; k < bytes.length; k += 8192) s += String.fromCharCode(...bytes.subarray(k, k + 8192)); return s; };
/* As Python writes it: paste it and it is the same bytes. */
const pythonOf = bytes => `b'${latin(bytes).replace(/[\\'\x00-\x1f\x7f-\xff]/g, c => ({ '\n': '\\n', '\r': '\\r', '\t': '\\t', '\\': '\\\\', "'": "\\'" }[c] ?? `\\x${hexOf([c.charCodeAt(0)])}`))}'`;

/* Valid UTF-8, a character at a time, or else one byte that is none: no decoder tells those apart from a real U+FFFD. */
const UTF8 = /[\x00-\x7f]+|[\xc2-\xdf][\x80-\xbf]|\xe0[\xa0-\xbf][\x80-\xbf]|[\xe1-\xec\xee\xef][\x80-\xbf]{2}|\xed[\x80-\x9f][\x80-\xbf]|\xf0[\x90-\xbf][\x80-\xbf]{2}|[\xf1-\xf3][\x80-\xbf]{3}|\xf4[\x80-\x8f][\x80-\xbf]{2}|[\x80-\xff]/g;
const control = text => `<span class="ctl">${text}</span>`;
const lettered = text => esc(text).replace(/[\u2400-\u2421⏎]|⟨U\+[0-9A-F]{4,5}⟩/g, control); // what `visible` put in place of a control
const readable = bytes => latin(bytes).replace(UTF8, c => c.length === 1 && c > '\x7f' ? control(`\\x${hexOf([c.charCodeAt(0)])}`) : lettered(decoder.decode(Uint8Array.from(c, b => b.charCodeAt(0)))));

/* Lines of text with where each begins; a newline is seen, and breaks. */
function textLines(bytes) {
  const lines = [];
  for (let from = 0; from < bytes.length;) {
    const newline = bytes.indexOf(10, from), to = newline < 0 ? bytes.length : newline + 1;
    lines.push([from, readable(bytes.subarray(from, to))]);
    from = to;
  }
  return lines;
}
/* The whole characters within the first `size` bytes. */
function upTo(bytes, size) {
  if (size >= bytes.length) return bytes;
  let end = size;
  while (end > size - 4 && (bytes[end] & 0xc0) === 0x80) end--;
  return bytes.subarray(0, end);
}

function noBytes(i) {
  if (isItem(i)) return `<p class="none">An item of a queue between threads or tasks is a Python object that is handed over as it is: it has no bytes. Items that are text or bytes are shown; this one is neither${MODEL.payloads === 'none' ? ', or payloads were not recorded' : ''}.</p>`;
  return `<p class="none">${M.size[i] ? (MODEL.payloads === 'none' ? 'Payload not recorded (<code>--payload none</code>). Lengths and times are exact.' : 'None of its bytes were kept. Lengths and times are exact.') : 'An empty datagram: no bytes.'}</p>`;
}

function bytesView(i) {
  const kept = bytesOf(i);
  if (!kept.length) return noBytes(i);
  const bytes = upTo(kept, bytesShown), width = innerWidth <= 560 ? 8 : 16, base = has(M.first[i]) ? M.first[i] : 0;
  const digitsOf = Math.max(4, (base + bytes.length).toString(16).length), offset = k => (base + k).toString(16).padStart(digitsOf, '0');
  const offsets = [], hex = [], chars = [];
  for (let k = 0; k < bytes.length; k += width) {
    const some = bytes.subarray(k, k + width);
    offsets.push(offset(k));
    hex.push(width > 8 && some.length > 8 ? `${hexOf(some.subarray(0, 8))}  ${hexOf(some.subarray(8))}` : hexOf(some));
    chars.push(esc(latin(some).replace(/[^\x20-\x7e]/g, c => c === '\n' ? '⏎' : '·')));
  }
  const text = textLines(bytes).map(([k, line]) => `<div><i>${offset(k)}</i><span>${line}</span></div>`).join('');
  const total = isItem(i) ? kept.length : M.size[i], more = kept.length - bytes.length;
  const cut = kept.length < total ? `The first ${n(kept.length)} of ${count(total, 'byte')} were kept${M.cut[i] ? ' in this page; the recording has more' : ''}.` : '';
  const next = Math.min(more, bytesShown < 8192 ? 8192 - bytesShown : MORE_BYTES);
  const views = Object.entries(DUMPS).map(([key, word]) => `<button data-dump="${key}" aria-pressed="${key === dump}">${word}</button>`).join('');
  const copies = ['text', 'hex', 'Python'].map(word => `<button data-copy="${word}" aria-label="Copy as ${word}">${word}</button>`).join('');
  return `<div class="dumpbar"><span class="chips" role="group" aria-label="Show the bytes as">${views}</span><span class="chips" role="group" aria-label="Copy"><span class="dim">copy</span>${copies}</span><span class="dim">${offsetWords(i)}</span></div>
    <div class="dump ${dump}">${dump === 'text' ? '' : `<div class="hex" tabindex="0" role="region" aria-label="Bytes in hexadecimal"><pre class="off">${offsets.join('\n')}</pre><pre>${hex.join('\n')}</pre><pre class="asc">${chars.join('\n')}</pre></div>`}${dump === 'hex' ? '' : `<div class="text" tabindex="0" role="region" aria-label="Bytes as text">${text}</div>`}</div>
    ${more > 0 ? `<p class="dim">${n(bytes.length)} of ${count(kept.length, 'byte')} shown. <button data-more="${next}">Show ${next === more ? `the other ${n(more)}` : `${n(next)} more`}</button> ${cut}</p>` : cut ? `<p class="dim">${cut}</p>` : ''}`;
}
const offsetWords = i => has(M.first[i]) ? `offsets count the bytes of ${esc(shortName(M.channel[i]))}` : `offsets count the bytes of ${isItem(i) ? 'the item' : isDatagram(i) ? 'the datagram' : 'the message'}`;

const COPIES = { text: bytes => decoder.decode(bytes), hex: hexOf, Python: pythonOf };
async function copy(i, form, button) {
  const text = COPIES[form](bytesOf(i));
  try { await navigator.clipboard.writeText(text); } catch { // where the browser has no clipboard for files
    const area = Object.assign(document.createElement('textarea'), { value: text, className: 'sr' });
    document.body.append(area);
    area.select();
    document.execCommand('copy');
    area.remove();
    button.focus();
  }
  button.textContent = 'copied';
  setTimeout(() => { button.textContent = form; }, 1200);
}
