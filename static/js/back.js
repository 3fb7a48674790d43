'use strict';

// Back can bring back a page from before a logout (the page cache of WebKit): what a
// member saw is asked for again.
addEventListener('pageshow', (shown) => {
  if (shown.persisted && document.querySelector('form[action="/logout"]')) location.reload();
});
