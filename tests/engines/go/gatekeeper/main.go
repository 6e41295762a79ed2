// Gatekeeper's engine, without a cluster: it decides on admission requests as its webhook does, and calls providers as its webhook
// does. Gatekeeper's own command for tests, gator, knows no external data.
//
//	gatekeeper [-cache 3m] FILE...
//
// The files hold a Provider, a ConstraintTemplate and a Constraint. Every line of the standard input is an AdmissionReview; each is
// answered by a line {"allowed": .., "messages": [..]}.
package main

import (
	"bufio"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"time"

	"github.com/open-policy-agent/frameworks/constraint/pkg/apis"
	"github.com/open-policy-agent/frameworks/constraint/pkg/apis/externaldata/unversioned"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/drivers/rego"
	"github.com/open-policy-agent/frameworks/constraint/pkg/client/reviews"
	"github.com/open-policy-agent/frameworks/constraint/pkg/externaldata"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/gator/reader"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/target"
	"github.com/open-policy-agent/gatekeeper/v3/pkg/util"
	admission "k8s.io/api/admission/v1"
	core "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/runtime"
)

func main() {
	cache := flag.Duration("cache", 0, "how long answers of a provider are kept; Gatekeeper's own default is 3m")
	flag.Parse()
	if err := run(context.Background(), *cache, flag.Args()); err != nil {
		fmt.Fprintln(os.Stderr, "gatekeeper:", err)
		os.Exit(1)
	}
}

func run(ctx context.Context, cache time.Duration, files []string) error {
	providers := externaldata.NewCache()
	args := []rego.Arg{rego.Externs(), rego.AddExternalDataProviderCache(providers)}
	if cache > 0 {
		args = append(args, rego.AddExternalDataProviderResponseCache(externaldata.NewProviderResponseCache(ctx, cache)))
	}
	driver, err := rego.New(args...)
	if err != nil {
		return err
	}
	engine, err := client.NewClient(client.Targets(&target.K8sValidationTarget{}), client.Driver(driver),
		client.EnforcementPoints(util.WebhookEnforcementPoint))
	if err != nil {
		return err
	}
	var objects []*unstructured.Unstructured
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			return err
		}
		read, err := reader.ReadK8sResources(file)
		file.Close()
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		objects = append(objects, read...)
	}
	// A template makes the kind that its constraints are of, so templates go first.
	for _, templates := range []bool{true, false} {
		for _, object := range objects {
			if (object.GetKind() == "ConstraintTemplate") == templates {
				if err := add(ctx, engine, providers, object); err != nil {
					return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
				}
			}
		}
	}
	lines := bufio.NewScanner(os.Stdin)
	lines.Buffer(nil, 16<<20)
	for lines.Scan() {
		answer, err := decide(ctx, engine, lines.Bytes())
		if err != nil {
			return err
		}
		if err := json.NewEncoder(os.Stdout).Encode(answer); err != nil {
			return err
		}
	}
	return lines.Err()
}

func add(ctx context.Context, engine *client.Client, providers *externaldata.ProviderCache, object *unstructured.Unstructured) error {
	switch object.GetKind() {
	case "ConstraintTemplate":
		scheme := runtime.NewScheme()
		if err := apis.AddToScheme(scheme); err != nil {
			return err
		}
		template, err := reader.ToTemplate(scheme, object)
		if err != nil {
			return err
		}
		_, err = engine.AddTemplate(ctx, template)
		return err
	case "Provider":
		provider := &unversioned.Provider{}
		if err := runtime.DefaultUnstructuredConverter.FromUnstructured(object.Object, provider); err != nil {
			return err
		}
		return providers.Upsert(provider)
	default:
		_, err := engine.AddConstraint(ctx, object)
		return err
	}
}

type answer struct {
	Allowed  bool     `json:"allowed"`
	Messages []string `json:"messages"`
}

func decide(ctx context.Context, engine *client.Client, line []byte) (*answer, error) {
	review := &admission.AdmissionReview{}
	if err := json.Unmarshal(line, review); err != nil {
		return nil, err
	}
	if review.Request == nil {
		return nil, fmt.Errorf("this is no AdmissionReview with a request: %.60s", line)
	}
	namespace := &core.Namespace{}
	namespace.Name = review.Request.Namespace
	responses, err := engine.Review(ctx, &target.AugmentedReview{AdmissionRequest: review.Request, Namespace: namespace, IsAdmission: true},
		reviews.EnforcementPoint(util.WebhookEnforcementPoint))
	if err != nil {
		return nil, err
	}
	answer := &answer{Allowed: true, Messages: []string{}}
	for _, result := range responses.Results() {
		answer.Messages = append(answer.Messages, result.Msg)
		if result.EnforcementAction == "deny" {
			answer.Allowed = false
		}
	}
	return answer, nil
}
