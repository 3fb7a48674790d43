// Package architecture contains only tests. They enforce the structure of the module:
// which packages may import which, and what no package may have. It must not be
// imported.
package architecture
