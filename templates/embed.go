// Package templates owns the HTML of every page and the words of every mail: the
// layout that all pages share, the partials that several use, one file a page,
// and in mail/ one file a mail. The files are
// html/template sources and know nothing of Go but the names of the fields they
// show, text/template for mails; packages web and mail parse them at start and
// fill them.
package templates

import "embed"

// FS holds layouts/, partials/, pages/ and mail/, as they were when the program was
// built.
//
//go:embed layouts partials pages mail
var FS embed.FS
