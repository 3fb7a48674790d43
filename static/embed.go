// Package static owns the files that a browser asks for as they are: style
// sheets by component, the one script, the icon, and what others look for at the
// top of a site. It knows nothing of who serves them or under which address;
// package web gives each a name that carries its content's hash, but for those
// in root/.
package static

import "embed"

// FS holds css/, js/ and the icon, as they were when the program was built.
//
//go:embed css js favicon.ico
var FS embed.FS

// Root holds root/: the files whose names are fixed.
//
//go:embed root
var Root embed.FS
