// Promql reads files of Prometheus rules as `promtool check rules` does, with its packages: promtool itself brings the
// clients of every cloud along. It also reads one expression per line of standard input. It prints the names of all
// metrics that are asked for; or what is wrong, and ends with 1.
package main

import (
	"bufio"
	"fmt"
	"log/slog"
	"os"

	"github.com/prometheus/common/model"
	"github.com/prometheus/prometheus/model/rulefmt"
	"github.com/prometheus/prometheus/promql/parser"
)

var (
	promql = parser.NewParser(parser.Options{})
	failed = false
)

func main() {
	for _, file := range os.Args[1:] {
		rules(file)
	}
	for lines := bufio.NewScanner(os.Stdin); lines.Scan(); {
		expression(lines.Text())
	}
	if failed {
		os.Exit(1)
	}
}

func rules(file string) {
	groups, errors := rulefmt.ParseFile(file, false, model.UTF8Validation, promql, slog.New(slog.DiscardHandler))
	for _, err := range errors {
		fail(err)
	}
	if groups == nil {
		return
	}
	for _, group := range groups.Groups {
		for _, rule := range group.Rules {
			expression(rule.Expr)
		}
	}
}

func expression(text string) {
	parsed, err := promql.ParseExpr(text)
	if err != nil {
		fail(fmt.Errorf("%s: %w", text, err))
		return
	}
	parser.Inspect(parsed, func(node parser.Node, _ []parser.Node) error {
		if selector, ok := node.(*parser.VectorSelector); ok {
			fmt.Println(selector.Name)
		}
		return nil
	})
}

func fail(err error) {
	failed = true
	fmt.Fprintln(os.Stderr, err)
}
