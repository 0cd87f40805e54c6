package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"strings"
)

func main() {
	only := flag.String("only", "", "")
	abstain := flag.Float64("abstain", -1, "")
	show := flag.Bool("show", false, "")
	fitted := flag.String("fit", "", "")
	flag.Parse()
	ctx := context.Background()
	if *fitted != "" {
		fmt.Println(fit(ctx, strings.Split(*fitted, ",")))
		return
	}
	if *only == "" || *only == "support" {
		for _, part := range []string{"train", "test"} {
			f, err := support(part)
			fmt.Println(part, f, err)
		}
	}
	if *only == "" || *only == "xquad" {
		for _, l := range []string{"en", "es", "de", "zh", "ar"} {
			f, err := xquad(ctx, l, *abstain, nil)
			fmt.Println(l, f, err)
		}
	}
	if *only == "" || *only == "aws" {
		f, err := aws(ctx, *abstain, *show)
		fmt.Printf("%+v %v\n", f, err)
	}
	if *only == "" || *only == "mtrag" {
		for _, n := range []string{"cloud", "clapnq"} {
			f, err := mtrag(ctx, n, *abstain)
			fmt.Println(n, f, err)
		}
	}
	if *only == "" || *only == "injection" {
		f, err := injection(ctx)
		fmt.Printf("%+v %v\n", f, err)
	}
	os.Exit(0)
}
