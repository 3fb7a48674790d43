'use strict';
// Back after a logout: load a page again that the browser kept whole.
addEventListener('pageshow', (shown) => {
  if (shown.persisted && document.querySelector('form[action="/logout"]')) location.reload();
});
// Back to a form that failed: load its page instead of sending it again.
const failed = document.querySelector('main[data-page]');
if (failed) history.replaceState(null, '', failed.dataset.page);
