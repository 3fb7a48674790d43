// What a page gains where there is a script. Every page works without this file.

// A button beside each password shows it, and hides it again before it is sent.
// Its name is the word on it, so that what is seen and what is read aloud agree.
for (const field of document.querySelectorAll('input[type=password]')) {
  const button = document.createElement('button');
  button.type = 'button';
  button.className = 'show';
  button.setAttribute('aria-controls', field.id);
  const set = (shown) => {
    field.type = shown ? 'text' : 'password';
    button.textContent = shown ? 'Hide' : 'Show';
    button.setAttribute('aria-label', shown ? 'Hide password' : 'Show password');
  };
  set(false);
  button.addEventListener('click', () => set(field.type === 'password'));
  field.form.addEventListener('submit', () => set(false));
  const row = document.createElement('div');
  row.className = 'with-show';
  field.replaceWith(row);
  row.append(field, button);
}

// A line under a new password rates it as it is typed. The server decides; this only saves an attempt.
const looks = (text, least) => {
  const letters = [...text.toLowerCase()];
  const length = letters.length;
  if (length === 0) return '';
  if (length < least) return `${length} of at least ${least} characters`;
  const runs = letters.filter((c, i) => i > 0 && Math.abs(c.codePointAt(0) - letters[i - 1].codePointAt(0)) <= 1).length;
  if (new Set(letters).size < 6 || runs > length / 2) return 'Easy to guess: it contains repeats or sequences';
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
  button.setAttribute('aria-label', `Copy ${text.trim()}`);
  const said = document.createElement('span');
  said.className = 'unseen';
  said.setAttribute('role', 'status');
  const say = (word, more) => { button.textContent = word; said.textContent = more; };
  button.addEventListener('click', () => navigator.clipboard.writeText(text).then(
    () => { say('Copied', 'Copied'); setTimeout(say, 2000, 'Copy', ''); },
    () => say('Not copied', 'Your browser did not allow it'),
  ));
  command.append(button, said);
}

// A form whose answer takes a while says so once it is sent, and is sent once.
for (const form of document.querySelectorAll('form[data-waits]')) {
  form.addEventListener('submit', () => {
    const button = form.querySelector('button');
    const said = document.createElement('span');
    said.className = 'waits';
    said.setAttribute('role', 'status');
    form.append(said);
    setTimeout(() => { button.disabled = true; said.textContent = form.dataset.waits; });
  });
}

// A check in progress is looked at again every 2 seconds, and shown where it is.
const follow = async (part) => {
  const said = document.createElement('p');
  said.className = 'unseen';
  said.setAttribute('role', 'status');
  part.after(said);
  for (let next = part; next && (part = next).dataset.progress;) {
    await new Promise((look) => setTimeout(look, 2000));
    const answer = await fetch(part.dataset.progress).catch(() => null);
    if (!answer?.ok) continue; // the server is away
    next = new DOMParser().parseFromString(await answer.text(), 'text/html').querySelector('.experiment');
    if (!next) return;
    part.replaceWith(next);
    const words = next.querySelector('.waiting')?.textContent ?? 'The check has finished.';
    if (said.textContent !== words) said.textContent = words;
  }
};
for (const part of document.querySelectorAll('[data-progress]')) follow(part);

// Times say how far away they are in the words of the server (web/moment.go), and
// are kept up to date while the page is open. If the clock of this device differs
// from the server's by more than 3 seconds, the words stay as they came, and so does a
// time whose words were changed here, as a browser does that translates the page.
const count = (n, unit) => `${n} ${unit}${n === 1 ? '' : 's'}`;
const distance = (seconds) => {
  const past = seconds < .5, d = Math.abs(seconds);
  if (past && d < 10) return 'just now';
  const whole = past ? Math.floor : Math.round;
  const units = [[1, 60, 'second'], [60, 60, 'minute'], [3600, 24, 'hour'], [86400, Infinity, 'day']];
  const [size, , unit] = units.find(([size, most]) => whole(d / size) < most);
  const words = count(whole(d / size), unit);
  return past ? `${words} ago` : `in ${words}`;
};
const times = [...document.querySelectorAll('time[datetime]')].map((time) => {
  const [words, ...date] = time.textContent.split(', ');
  return { time, words, date, shown: time.textContent, left: () => (Date.parse(time.dateTime) - Date.now()) / 1000 };
});
const tick = () => {
  for (const t of times) {
    if (t.time.textContent !== t.shown || t.time.firstElementChild) continue;
    t.shown = [distance(t.left()), ...t.date].join(', ');
    if (t.time.textContent !== t.shown) t.time.textContent = t.shown;
  }
  setTimeout(tick, 1000);
};
if (times.every(({ words, left }) => [0, -3, 3].some((skew) => distance(left() + skew) === words))) tick();
