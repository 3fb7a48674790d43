// Package templates owns the HTML of every page: the layout that all pages
// share, the partials that several use, and one file a page. The files are
// html/template sources and know nothing of Go but the names of the fields they
// show; package web parses them at start and fills them.
package templates

import "embed"

// FS holds layouts/, partials/ and pages/, as they were when the program was
// built.
//
//go:embed layouts partials pages
var FS embed.FS
