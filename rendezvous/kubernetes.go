package rendezvous

import "strings"

// fromKubernetes reads an indexed Job. Kubernetes gives each pod only its index; the size and the
// service come from the manifest. Rank 0's pod is <job>-0.<service>, a name that appears in DNS
// only once the pod runs: Dial keeps looking it up.
func fromKubernetes(v variables) (Environment, bool, error) {
	if !v.has("JOB_COMPLETION_INDEX") {
		return Environment{}, false, nil
	}
	size := ""
	for _, name := range []string{"TUTTI_SIZE", "JOB_COMPLETIONS", "JOB_PARALLELISM"} {
		if v.has(name) {
			size = name
			break
		}
	}
	if size == "" {
		return Environment{}, true, &EnvironmentError{
			Variable: "TUTTI_SIZE", Expected: "the number of pods, because JOB_COMPLETION_INDEX is set",
			Remedy: "add env TUTTI_SIZE (or JOB_COMPLETIONS) to the pod template, " +
				"with the value of .spec.completions",
		}
	}
	env, err := v.place("JOB_COMPLETION_INDEX", size, "", "")
	if err != nil {
		return env, true, err
	}
	env.Launcher, env.Job = "kubernetes", v.kubernetesJob()
	if !v.has("TUTTI_STORE") && env.Job != "" {
		service := v.text("TUTTI_SERVICE")
		if service == "" {
			service = env.Job
		}
		env.Store, err = v.embeddedStore("TUTTI_SERVICE", env.Job+"-0."+service, DefaultStorePort)
	}
	return env, true, err
}

// kubernetesJob is the Job's name: JOB_NAME when the manifest maps it in, else the pod's host name,
// which is "<job>-<index>" in an indexed Job.
func (v variables) kubernetesJob() string {
	if name := v.text("JOB_NAME"); name != "" {
		return name
	}
	host, _, _ := strings.Cut(v.text("HOSTNAME"), ".")
	job, found := strings.CutSuffix(host, "-"+v.text("JOB_COMPLETION_INDEX"))
	if !found {
		return ""
	}
	return job
}
