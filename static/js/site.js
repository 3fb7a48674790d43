// What a page gains where there is a script. Every page works without this file.
'use strict';

// A button beside each password shows it, and hides it again before it is sent.
for (const field of document.querySelectorAll('input[type=password]')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'show';
  const set = (shown) => {
    field.type = shown ? 'text' : 'password';
    button.textContent = shown ? 'Hide' : 'Show';
    button.setAttribute('aria-pressed', shown);
    button.setAttribute('aria-label', 'Show password');
  };
  set(false);
  button.addEventListener('click', () => set(field.type === 'password'));
  field.form.addEventListener('submit', () => set(false));
  const row = document.createElement('div');
  row.className = 'with-show';
  field.replaceWith(row);
  row.append(field, button);
}

// A line under a new password tells how it looks while it is typed. The server decides; this only spares a try.
const looks = (text, least) => {
  const letters = [...text.toLowerCase()];
  const length = letters.length;
  if (length === 0) return '';
  if (length < least) return `${length} of at least ${least} characters`;
  const runs = letters.filter((c, i) => i > 0 && Math.abs(c.codePointAt(0) - letters[i - 1].codePointAt(0)) <= 1).length;
  if (new Set(letters).size < 6 || runs > length / 2) return 'Easy to guess: it repeats itself or runs in order';
  return /[^\p{L}]/u.test(text) || length >= 1.5 * least ? 'Hard to guess' : 'Long enough';
};
for (const field of document.querySelectorAll('input[data-least]')) {
  const line = document.createElement('p');
  line.className = 'help';
  line.setAttribute('role', 'status');
  field.addEventListener('input', () => { line.textContent = looks(field.value, Number(field.dataset.least)); });
  field.closest('.field').append(line);
}

// A button on each command copies it. Browsers allow that on https and on localhost only.
for (const command of navigator.clipboard ? document.querySelectorAll('[data-copy]') : []) {
  const text = command.textContent;
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'copy';
  button.textContent = 'Copy';
  const said = document.createElement('span');
  said.className = 'unseen';
  said.setAttribute('role', 'status');
  const say = (word, more) => { button.textContent = word; said.textContent = more; };
  button.addEventListener('click', () => navigator.clipboard.writeText(text).then(
    () => { say('Copied', 'Copied'); setTimeout(say, 2000, 'Copy', ''); },
    () => say('Not copied', 'The browser did not allow it'),
  ));
  command.append(button, said);
}

// Deadlines count down, second by second. The words of the server stay where the clock of this device says nonsense.
const two = (n) => String(n).padStart(2, '0');
const left = (seconds) => {
  const d = Math.floor(seconds / 86400), h = Math.floor(seconds / 3600) % 24, m = Math.floor(seconds / 60) % 60, s = seconds % 60;
  if (d > 0) return `in ${d} ${d === 1 ? 'day' : 'days'} ${two(h)} h ${two(m)} min`;
  if (h > 0) return `in ${h} h ${two(m)} min ${two(s)} s`;
  return m > 0 ? `in ${m} min ${two(s)} s` : `in ${s} s`;
};
const deadlines = [...document.querySelectorAll('time[data-ends]')].filter((t) => Date.parse(t.dateTime) > Date.now());
const tick = () => {
  const now = Date.now();
  for (const t of deadlines) {
    const words = Date.parse(t.dateTime) > now ? left(Math.floor((Date.parse(t.dateTime) - now) / 1000)) : 'now';
    if (t.textContent !== words) t.textContent = words;
  }
  setTimeout(tick, 1000 - (now % 1000));
};
if (deadlines.length > 0) tick();
