package architecture

import (
	"go/ast"
	"go/token"
	"regexp"
	"slices"
	"strings"
	"testing"
)

// mayHaveState lists the packages that hold what all tests of a process share.
var mayHaveState = []string{"internal/dev/testkit", "internal/dev/testkit/chromium", "internal/dev/testservice"}

func TestNothingHappensBeforeMain(t *testing.T) {
	for _, p := range list(t) {
		positions, files := p.source(t)
		for _, file := range files {
			for _, declared := range file.Decls {
				f, ok := declared.(*ast.FuncDecl)
				if ok && f.Recv == nil && f.Name.Name == "init" {
					t.Errorf("%s: init runs before main and cannot fail: make it a constructor", positions.Position(f.Pos()))
				}
			}
		}
	}
}

// TestPackagesHaveNoState allows a package-level variable if it is initialised where it
// is declared (or by go:embed), is of a kind that is only read, and no statement of the
// package assigns to it or takes its address.
func TestPackagesHaveNoState(t *testing.T) {
	for _, p := range list(t) {
		if slices.Contains(mayHaveState, p.name()) {
			continue
		}
		positions, files := p.source(t)
		changed := changedNames(files)
		for _, file := range files {
			for _, variable := range variables(file) {
				if reason := variable.state(changed); reason != "" {
					t.Errorf("%s: package-level variable %s: %s", positions.Position(variable.name.Pos()), variable.name, reason)
				}
			}
		}
	}
}

type variable struct {
	name     *ast.Ident
	declared ast.Expr // its type, if written
	value    ast.Expr // nil if none
	embedded bool
}

func variables(file *ast.File) []variable {
	var all []variable
	for _, declared := range file.Decls {
		group, ok := declared.(*ast.GenDecl)
		if !ok || group.Tok != token.VAR {
			continue
		}
		for _, spec := range group.Specs {
			spec := spec.(*ast.ValueSpec)
			for i, name := range spec.Names {
				v := variable{name: name, declared: spec.Type, embedded: hasEmbed(group.Doc) || hasEmbed(spec.Doc)}
				if i < len(spec.Values) {
					v.value = spec.Values[i]
				}
				all = append(all, v)
			}
		}
	}
	return all
}

func hasEmbed(comments *ast.CommentGroup) bool {
	if comments == nil {
		return false
	}
	for _, comment := range comments.List {
		if strings.HasPrefix(comment.Text, "//go:embed ") {
			return true
		}
	}
	return false
}

// state returns why the variable is state, or "".
func (v variable) state(changed map[string]bool) string {
	switch {
	case v.name.Name == "_":
		return ""
	case changed[v.name.Name]:
		return "it is assigned to or its address is taken"
	case v.embedded:
		return ""
	case v.value == nil:
		return "it has no value from the start, so someone gives it one"
	case !readable(v.value):
		return "its value is not one of the kinds made to be read"
	}
	return ""
}

// readable allows tables, errors of other packages, and the results of these functions,
// which do not change afterwards.
func readable(value ast.Expr) bool {
	switch value := value.(type) {
	case *ast.CompositeLit:
		return true
	case *ast.SelectorExpr: // another package's error under a name in this one
		return strings.HasPrefix(value.Sel.Name, "Err")
	case *ast.CallExpr:
		switch selector(value.Fun) {
		case "errors.New", "fmt.Errorf", "regexp.MustCompile", "strings.NewReplacer",
			"netip.MustParsePrefix", "netip.MustParseAddr", "redis.NewScript":
			return true
		}
	}
	return false
}

func selector(expr ast.Expr) string {
	if s, ok := expr.(*ast.SelectorExpr); ok {
		if from, ok := s.X.(*ast.Ident); ok {
			return from.Name + "." + s.Sel.Name
		}
	}
	return ""
}

// changedNames returns the names at the root of everything that a package assigns to,
// increments, decrements, or takes the address of. It compares names only: a local
// variable that is assigned to must not have the name of a package-level one.
func changedNames(files []*ast.File) map[string]bool {
	changed := map[string]bool{}
	add := func(exprs ...ast.Expr) {
		for _, expr := range exprs {
			if name := root(expr); name != nil {
				changed[name.Name] = true
			}
		}
	}
	for _, file := range files {
		ast.Inspect(file, func(node ast.Node) bool {
			switch node := node.(type) {
			case *ast.AssignStmt:
				if node.Tok != token.DEFINE {
					add(node.Lhs...)
				}
			case *ast.RangeStmt:
				if node.Tok == token.ASSIGN {
					add(node.Key, node.Value)
				}
			case *ast.IncDecStmt:
				add(node.X)
			case *ast.UnaryExpr:
				if node.Op == token.AND {
					add(node.X)
				}
			}
			return true
		})
	}
	return changed
}

func root(expr ast.Expr) *ast.Ident {
	for {
		switch e := expr.(type) {
		case *ast.Ident:
			return e
		case *ast.IndexExpr:
			expr = e.X
		case *ast.SelectorExpr:
			expr = e.X
		case *ast.StarExpr:
			expr = e.X
		case *ast.ParenExpr:
			expr = e.X
		case *ast.SliceExpr:
			expr = e.X
		default:
			return nil
		}
	}
}

func TestEveryPackageSaysWhatItOwns(t *testing.T) {
	for _, p := range list(t) {
		_, files := p.source(t)
		documented := false
		for _, file := range files {
			documented = documented || strings.HasPrefix(file.Doc.Text(), "Package ") || file.Name.Name == "main" && file.Doc != nil
		}
		if !documented {
			t.Errorf("%s has no doc comment that begins with %q", p.name(), "Package "+files[0].Name.Name)
		}
	}
}

func TestEveryExportedNameIsDocumented(t *testing.T) {
	for _, p := range list(t) {
		positions, files := p.source(t)
		for _, file := range files {
			for _, name := range undocumented(file) {
				t.Errorf("%s: %s has no doc comment", positions.Position(name.Pos()), name)
			}
		}
	}
}

// undocumented lists exported functions, methods of exported types, types, constants
// and variables that no comment explains: their own, their group's, or, for a run of
// small functions, the one above it, which names them all. Package errors explains
// Error and Unwrap.
func undocumented(file *ast.File) []*ast.Ident {
	var names []*ast.Ident
	add := func(explained bool, all ...*ast.Ident) {
		for _, name := range all {
			if !explained && name.IsExported() {
				names = append(names, name)
			}
		}
	}
	above := ""
	for _, declared := range file.Decls {
		switch declared := declared.(type) {
		case *ast.FuncDecl:
			if declared.Doc != nil {
				above = declared.Doc.Text()
			}
			name := declared.Name.Name
			hidden := declared.Recv != nil && (!receiver(declared).IsExported() || name == "Error" || name == "Unwrap")
			named := regexp.MustCompile(`\b` + name + `\b`).MatchString(above)
			add(declared.Doc != nil || hidden || named, declared.Name)
		case *ast.GenDecl:
			for _, spec := range declared.Specs {
				switch spec := spec.(type) {
				case *ast.TypeSpec:
					add(declared.Doc != nil || spec.Doc != nil, spec.Name)
				case *ast.ValueSpec:
					add(declared.Doc != nil || spec.Doc != nil || spec.Comment != nil, spec.Names...)
				}
			}
		}
	}
	return names
}

func receiver(f *ast.FuncDecl) *ast.Ident {
	expr := f.Recv.List[0].Type
	for {
		switch e := expr.(type) {
		case *ast.StarExpr:
			expr = e.X
		case *ast.IndexExpr:
			expr = e.X
		case *ast.IndexListExpr:
			expr = e.X
		case *ast.Ident:
			return e
		default:
			return ast.NewIdent("_")
		}
	}
}
